-- Begins the log of a topic anew when its key is gone: deleted by hand, evicted, or expired.
--
-- begin_log(log, prev, ...) -> bare id: as XADD with '*' and the fields, but the id is above prev, that of the last event of the topic.
--   Redis takes the ids of a new key from its clock alone. Within the millisecond of the last event, and after the clock was put back, it
--   would use an id again, and whoever has read as far as prev would miss the event. A prev that another program has written, and that
--   is no id or one of the year 2286 or later, does not count
local function begin_log(log, prev, ...)
  local id = redis.call('XADD', log, '*', ...)
  local ms, counter = string.match(id, '^(%d+)-(%d+)$')
  local last_ms, last_counter = string.match(prev or '', '^(%d+)-(%d+)$')
  if not last_ms or #last_ms > #ms or #last_counter > 15 then return id end
  ms, last_ms = tonumber(ms), tonumber(last_ms)
  if ms > last_ms or (ms == last_ms and tonumber(counter) > tonumber(last_counter)) then return id end
  redis.call('DEL', log)
  return redis.call('XADD', log, string.format('%.0f-%.0f', last_ms, tonumber(last_counter) + 1), ...)
end
