"""The kit of the API: middleware, problems, authentication, paging, idempotency. It knows no subject."""
