-- Included by every script that publishes (a first line "-- include: emit"); it is not run by itself.
--
-- emit(keys, channel, topic, body, limits) -> id of the event, "<ms>-<counter>@<epoch>"
--   keys     {log = ns:log:<topic>, head = ns:topic:<topic>, topics = ns:topics}
--   body     the event as a JSON object without its stamp
--   limits   {epoch = used if the topic has none yet, length, log_ms, head_ms}
-- The event enters the log with the id before it, the head moves on, and who listens is told: one step, one order.
local function emit(keys, channel, topic, body, limits)
  local head = redis.call('HMGET', keys.head, 'epoch', 'last', 'touched')
  local epoch, last, touched = head[1], head[2] or '0-0', head[3]
  if not epoch then
    epoch, last, touched = limits.epoch, '0-0', false
  end
  local id = redis.call('XADD', keys.log, 'MAXLEN', '~', limits.length, '*', 'prev', last, 'epoch', epoch, 'data', body)
  local ms = string.match(id, '^%d+')
  local fresh = touched and tonumber(ms) - tonumber(touched) < math.min(60000, limits.log_ms / 10)
  if fresh and redis.call('XLEN', keys.log) > 1 then
    redis.call('HSET', keys.head, 'last', id)
  else
    -- Lifetimes are extended now and then, not at every event; a log that was deleted or evicted needs one at once.
    redis.call('HSET', keys.head, 'epoch', epoch, 'last', id, 'touched', ms)
    redis.call('PEXPIRE', keys.log, limits.log_ms)
    redis.call('PEXPIRE', keys.head, limits.head_ms)
    redis.call('ZADD', keys.topics, ms, topic)
    redis.call('PEXPIRE', keys.topics, limits.head_ms)
  end
  local stamped = '{"id":"' .. id .. '@' .. epoch .. '","prev":"' .. last .. '",' .. string.sub(body, 2)
  redis.call('PUBLISH', channel, stamped)
  return id .. '@' .. epoch, stamped
end

-- limits_from(list, at) -> limits, read from four arguments in a row: epoch, length, log_ms, head_ms
local function limits_from(list, at)
  return {epoch = list[at], length = list[at + 1], log_ms = tonumber(list[at + 2]), head_ms = tonumber(list[at + 3])}
end
