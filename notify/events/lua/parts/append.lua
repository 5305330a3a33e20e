-- include: notify.events.begin
-- include: notify.events.shorten
-- Appends events to the log of a topic and publishes them.
--
-- In one step an event enters the log with the id of the event before it, the head of the topic moves on, and the subscribers get
-- the event: so all of them see one order. A body is an event as a JSON object without its stamp; limits is {length, log_ms, head_ms}.
--
-- open_head(head) -> epoch, bare id of the last event, ms at which lifetimes were extended last or nil
-- append(log, channel, body, epoch, prev, limits, unheard) -> bare id, the stamped event, whether the log was created, and how many
--     subscribers got it. With unheard the event is not published: the one before, in the same script, had no subscriber
-- close_head(keys, topic, epoch, last, touched, limits): writes the head, and extends the lifetimes now and then
-- emit(keys, channel, topic, body, limits) -> id of the event "<ms>-<counter>@<epoch>", the stamped event: the three above for one event
--   keys   {log = ns:log:<topic>, head = ns:topic:<topic>, topics = ns:topics}
-- retain(key, lifetime, stamped): "" keeps the retained value as it is, "0" deletes it, "-1" keeps this event for ever, else for so many ms
-- limits_from(length, log_ms, head_ms) -> limits, from three arguments of a script
local function open_head(head)
  local known = redis.call('HMGET', head, 'epoch', 'last', 'touched')
  if known[1] then return known[1], known[2] or '0-0', known[3] end
  local t = redis.call('TIME')
  return string.format('%x%05x', t[1], t[2]), '0-0', nil
end

local function append(log, channel, body, epoch, prev, limits, unheard)
  local id = redis.call('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', limits.length, '*', 'prev', prev, 'epoch', epoch, 'data', body)
  local created = not id
  if created then
    id = begin_log(log, prev, 'prev', prev, 'epoch', epoch, 'data', body)
  end
  if #body * limits.length > LOG_BYTES then shorten(log) end
  local stamped = '{"id":"' .. id .. '@' .. epoch .. '","prev":"' .. prev .. '",' .. string.sub(body, 2)
  local published = unheard and 0 or redis.pcall('PUBLISH', channel, stamped)
  if type(published) == 'table' then
    -- No permission for the channel: an event that is not published must not stay in the log.
    redis.call('XDEL', log, id)
    error(published.err, 0)
  end
  return id, stamped, created, published
end

local function close_head(keys, topic, epoch, last, touched, limits)
  local stamp = string.match(last, '^%d+')
  local age = stamp - (tonumber(touched) or 0) -- written by another program, it may be no time, or one to come
  if age >= 0 and age < math.min(60000, limits.log_ms / 10) then
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
  local id, stamped, created = append(keys.log, channel, body, epoch, prev, limits)
  close_head(keys, topic, epoch, id, not created and touched, limits)
  return id .. '@' .. epoch, stamped
end

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

local function limits_from(length, log_ms, head_ms)
  return {length = length, log_ms = tonumber(log_ms), head_ms = tonumber(head_ms)}
end
