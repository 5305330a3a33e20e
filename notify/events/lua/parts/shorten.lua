-- Keeps the log of a topic below a size in bytes. Before this part stands LOG_BYTES, written by scripts.py.
--
-- shorten(log): cuts the oldest events off while the log is above LOG_BYTES. Measuring a log takes some microseconds for each ten of its
--   nodes, so this is done for one call in 64; the log may grow by so many events above its size
local function shorten(log)
  local t = redis.call('TIME')
  if t[2] % 64 ~= 0 then return end
  local size = redis.pcall('MEMORY', 'USAGE', log, 'SAMPLES', 0)
  if type(size) ~= 'number' or size <= LOG_BYTES then return end -- also where the user may not measure
  redis.call('XTRIM', log, 'MAXLEN', math.max(1, math.floor(redis.call('XLEN', log) * LOG_BYTES / size)))
end
