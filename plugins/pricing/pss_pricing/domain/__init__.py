"""The rules of prices: plain functions that know neither the database nor HTTP."""
