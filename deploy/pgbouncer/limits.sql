-- With PgBouncer, what the application asks for when it connects is not passed on.
-- Run this once, as pss_owner.
ALTER ROLE pss_app SET statement_timeout = '15s';
ALTER ROLE pss_app SET lock_timeout = '5s';
ALTER ROLE pss_app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE pss_app SET search_path = '';
