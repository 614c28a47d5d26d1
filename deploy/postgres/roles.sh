#!/bin/sh
# Run once by the PostgreSQL image, when its volume is empty: the database and its two logins.
# The owner makes the application's login itself, so that it may administer it.
set -eu

psql --set=ON_ERROR_STOP=1 --username=postgres --set=password="$PSS_OWNER_PASSWORD" <<'SQL'
CREATE ROLE pss_owner LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE pss OWNER pss_owner;
SQL

psql --set=ON_ERROR_STOP=1 --username=postgres --dbname=pss \
  --set=password="$PSS_APP_PASSWORD" <<'SQL'
SET SESSION AUTHORIZATION pss_owner;
CREATE ROLE pss_app LOGIN NOINHERIT PASSWORD :'password';
SQL
