-- Included by every script that publishes (a first line "-- include: emit"); it is not run by itself.
--
-- An event enters the log of its topic with the id before it, the head of the topic moves on, and who listens is told:
-- one step, one order. A body is an event as a JSON object without its stamp; limits is {length, log_ms, head_ms}.
--
-- open_head(head) -> epoch, bare id of the last event, ms at which lifetimes were extended last or nil
-- append(log, channel, body, epoch, prev, limits) -> bare id, the stamped event, whether the log had to be made
-- close_head(keys, topic, epoch, last, touched, limits)
-- emit(keys, channel, topic, body, limits) -> id of the event "<ms>-<counter>@<epoch>", the stamped event: all three, for one
--   keys   {log = ns:log:<topic>, head = ns:topic:<topic>, topics = ns:topics}
local function open_head(head)
  local known = redis.call('HMGET', head, 'epoch', 'last', 'touched')
  if known[1] then return known[1], known[2], known[3] end
  local t = redis.call('TIME')
  return string.format('%x%05x', t[1], t[2]), '0-0', nil
end

local function append(log, channel, body, epoch, prev, limits)
  local id = redis.call('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', limits.length, '*', 'prev', prev, 'epoch', epoch, 'data', body)
  local made = not id
  if made then
    id = redis.call('XADD', log, '*', 'prev', prev, 'epoch', epoch, 'data', body)
  end
  local stamped = '{"id":"' .. id .. '@' .. epoch .. '","prev":"' .. prev .. '",' .. string.sub(body, 2)
  local told = redis.pcall('PUBLISH', channel, stamped)
  if type(told) == 'table' then
    -- No permission for the channel: what nobody is told did not happen.
    redis.call('XDEL', log, id)
    error(told.err, 0)
  end
  return id, stamped, made
end

local function close_head(keys, topic, epoch, last, touched, limits)
  local stamp = string.match(last, '^%d+')
  if touched and stamp - touched < math.min(60000, limits.log_ms / 10) then
    redis.call('HSET', keys.head, 'last', last)
    return
  end
  -- Lifetimes are extended now and then, not at every event; a log that was deleted or evicted needs one at once.
  redis.call('HSET', keys.head, 'epoch', epoch, 'last', last, 'touched', stamp)
  redis.call('PEXPIRE', keys.log, limits.log_ms)
  redis.call('PEXPIRE', keys.head, limits.head_ms)
  redis.call('ZADD', keys.topics, stamp, topic)
  redis.call('ZREMRANGEBYSCORE', keys.topics, '-inf', string.format('%.0f', stamp - limits.head_ms))
  redis.call('PEXPIRE', keys.topics, limits.head_ms)
end

local function emit(keys, channel, topic, body, limits)
  local epoch, prev, touched = open_head(keys.head)
  local id, stamped, made = append(keys.log, channel, body, epoch, prev, limits)
  close_head(keys, topic, epoch, id, not made and touched, limits)
  return id .. '@' .. epoch, stamped
end

-- retain(key, lifetime, stamped): "" leaves the retained value, "0" drops it, "-1" keeps the event for ever, else so many ms
local function retain(key, lifetime, stamped)
  if lifetime == '' then return end
  if lifetime == '0' then
    redis.call('DEL', key)
  elseif lifetime == '-1' then
    redis.call('SET', key, stamped)
  else
    redis.call('SET', key, stamped, 'PX', lifetime)
  end
end

-- limits_from(list, at) -> limits, read from three arguments in a row: length, log_ms, head_ms
local function limits_from(list, at)
  return {length = list[at], log_ms = tonumber(list[at + 1]), head_ms = tonumber(list[at + 2])}
end
