-- The databases of compose.yaml, made when its PostgreSQL starts for the first time.
\getenv store_password STORE_PASSWORD
\getenv mlflow_password MLFLOW_PASSWORD

CREATE ROLE eql LOGIN PASSWORD :'store_password';
CREATE DATABASE eql OWNER eql ENCODING 'UTF8' TEMPLATE template0;

CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow ENCODING 'UTF8' TEMPLATE template0;

-- Each keeps to its own.
REVOKE CONNECT ON DATABASE eql, mlflow, postgres FROM PUBLIC;
