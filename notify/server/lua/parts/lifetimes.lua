-- The lifetimes of keys, in milliseconds.
local MINUTE_MS, HOUR_MS, DAY_MS, WEEK_MS, MONTH_MS = 60000, 3600000, 86400000, 604800000, 2592000000
