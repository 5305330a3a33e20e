-- Included by every script that publishes (a first line "-- include: emit"); it is not run by itself.
--
-- An event enters the log of its topic with the id before it, the head of the topic moves on, and who listens is told:
-- one step, one order. A body is an event as a JSON object without its stamp; limits is {length, log_ms, head_ms}.
--
-- open_head(keys) -> head      keys   {log = ns:log:<topic>, head = ns:topic:<topic>, topics = ns:topics}
-- append(head, channel, body, limits) -> id of the event "<ms>-<counter>@<epoch>", the stamped event
-- close_head(head, topic, limits)
-- emit(keys, channel, topic, body, limits) -> as append: all three, for one event
local function open_head(keys)
  local known = redis.call('HMGET', keys.head, 'epoch', 'last', 'touched')
  if known[1] then
    return {keys = keys, epoch = known[1], last = known[2], touched = tonumber(known[3]), appended = 0}
  end
  local t = redis.call('TIME')
  return {keys = keys, epoch = string.format('%x%05x', t[1], t[2]), last = '0-0', appended = 0}
end

local function append(head, channel, body, limits)
  local prev = head.last
  local id = redis.call('XADD', head.keys.log, 'MAXLEN', '~', limits.length, '*', 'prev', prev, 'epoch', head.epoch, 'data', body)
  head.last, head.appended = id, head.appended + 1
  local full = id .. '@' .. head.epoch
  local stamped = '{"id":"' .. full .. '","prev":"' .. prev .. '",' .. string.sub(body, 2)
  redis.call('PUBLISH', channel, stamped)
  return full, stamped
end

local function close_head(head, topic, limits)
  local keys, stamp = head.keys, string.match(head.last, '^%d+')
  local fresh = head.touched and tonumber(stamp) - head.touched < math.min(60000, limits.log_ms / 10)
  if fresh and redis.call('XLEN', keys.log) > head.appended then
    redis.call('HSET', keys.head, 'last', head.last)
    return
  end
  -- Lifetimes are extended now and then, not at every event; a log that was deleted or evicted needs one at once.
  redis.call('HSET', keys.head, 'epoch', head.epoch, 'last', head.last, 'touched', stamp)
  redis.call('PEXPIRE', keys.log, limits.log_ms)
  redis.call('PEXPIRE', keys.head, limits.head_ms)
  redis.call('ZADD', keys.topics, stamp, topic)
  redis.call('PEXPIRE', keys.topics, limits.head_ms)
end

local function emit(keys, channel, topic, body, limits)
  local head = open_head(keys)
  local id, stamped = append(head, channel, body, limits)
  close_head(head, topic, limits)
  return id, stamped
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
