-- The lifetimes of keys, in milliseconds.
local MINUTE_MS, HOUR_MS, DAY_MS, WEEK_MS, MONTH_MS, YEAR_MS =
  60000, 3600000, 86400000, 604800000, 2592000000, 31536000000
local LONGEST_TTL_S = 2147483647 -- of a job and its result, see numbers.py
