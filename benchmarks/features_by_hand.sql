-- The features of the integration_usage family as an expert would write them for DuckDB alone, straight from the files.
-- {usage}, {leads} and {snapshots} stand for Parquet files; it was written before the compiled query was tuned, and
-- changes only with the catalogue. A correction is a later version of the same usage_id, a tombstone a deleted one;
-- a snapshot sees the version recorded last by its as_of, and only what had happened by then.

CREATE TEMP TABLE superseded AS
SELECT file_row_number AS row,
       lead(recorded_at) OVER (PARTITION BY usage_id ORDER BY recorded_at, file_row_number) AS superseded_at
FROM read_parquet('{usage}', file_row_number = true)
WHERE usage_id IN (SELECT usage_id FROM read_parquet('{usage}') GROUP BY usage_id HAVING count(*) > 1);

CREATE TEMP TABLE asked AS
SELECT snapshot.lead_id, snapshot.as_of, make_timestamptz(snapshot.as_of) AS moment,
       CASE WHEN NOT lead.deleted THEN lead.account_id END AS account_id, lead.source_partner_id
FROM read_parquet('{snapshots}') AS snapshot
LEFT JOIN read_parquet('{leads}') AS lead
  ON lead.lead_id = snapshot.lead_id AND lead.recorded_at <= make_timestamptz(snapshot.as_of)
QUALIFY row_number() OVER (PARTITION BY snapshot.lead_id, snapshot.as_of ORDER BY lead.recorded_at DESC) = 1;

CREATE TEMP TABLE result AS
WITH seen AS (
    SELECT asked.lead_id, asked.as_of, usage.day, usage.integration, usage.calls, usage.active_users, usage.occurred_at,
           usage.partner_id = asked.source_partner_id AS source,
           usage.occurred_at > moment - INTERVAL 168 HOURS AS last_7,
           usage.occurred_at > moment - INTERVAL 720 HOURS AS last_30,
           usage.occurred_at > moment - INTERVAL 2160 HOURS AS last_90,
           usage.occurred_at <= moment - INTERVAL 720 HOURS AND usage.occurred_at > moment - INTERVAL 1440 HOURS AS before
    FROM read_parquet('{usage}', file_row_number = true) AS usage
    LEFT JOIN superseded ON superseded.row = usage.file_row_number
    JOIN asked ON asked.account_id = usage.account_id AND usage.occurred_at <= asked.moment
              AND usage.recorded_at <= asked.moment
              AND (superseded.superseded_at IS NULL OR superseded.superseded_at > asked.moment)
    WHERE NOT usage.deleted
), aggregated AS (
    SELECT lead_id, as_of,
           count(DISTINCT day) FILTER (last_7) AS days_7,
           count(DISTINCT day) FILTER (last_30) AS days_30,
           count(DISTINCT day) FILTER (last_90) AS days_90,
           count(DISTINCT day) FILTER (before) AS days_before,
           count(DISTINCT day) FILTER (last_30 AND source) AS source_days,
           count(DISTINCT integration) FILTER (last_90) AS integrations,
           sum(calls) FILTER (last_7) AS calls_7,
           sum(calls) FILTER (last_30) AS calls_30,
           sum(calls) FILTER (last_90) AS calls_90,
           sum(calls) FILTER (before) AS calls_before,
           max(active_users) FILTER (last_30) AS users,
           max(occurred_at) AS last_use,
           min(occurred_at) AS first_use
    FROM seen GROUP BY lead_id, as_of
)
SELECT lead_id, as_of,
       coalesce(days_7, 0) AS integration_active_days_7d,
       coalesce(days_30, 0) AS integration_active_days_30d,
       coalesce(days_90, 0) AS integration_active_days_90d,
       coalesce(days_30 - days_before, 0) AS integration_active_days_trend,
       coalesce(calls_7, 0)::BIGINT AS integration_calls_7d,
       coalesce(calls_30, 0)::BIGINT AS integration_calls_30d,
       coalesce(calls_90, 0)::BIGINT AS integration_calls_90d,
       (coalesce(calls_30, 0) - coalesce(calls_before, 0))::BIGINT AS integration_calls_trend,
       coalesce(integrations, 0) AS integrations_used_90d,
       coalesce(users, 0) AS integration_users_max_30d,
       coalesce(source_days, 0) AS source_partner_active_days_30d,
       (as_of - epoch_us(last_use)) / 86400e6 AS integration_recency_days,
       (as_of - epoch_us(first_use)) / 86400e6 AS integration_first_use_days
FROM asked LEFT JOIN aggregated USING (lead_id, as_of)
ORDER BY lead_id, as_of;
