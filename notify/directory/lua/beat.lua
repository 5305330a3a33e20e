-- include: notify.events.append
-- include: notify.history.count
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.directory.deadline
-- include: notify.directory.presence
-- Records the heartbeats of services, each of one incarnation. A heartbeat never brings back a service that was withdrawn.
-- KEYS    due       ns:due
--         suspects  ns:suspects
--         services  ns:services
--         sweep     ns:sweep
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
--         ...       for each service: ns:service:<name>, ns:tombstone:<name>
-- ARGV    channel, topic  of the directory
--         recovered  body of the announcement that a suspected service is back
--         length, log_ms, head_ms  limits
--         ...        for each service: name, incarnation, ttl_ms
-- returns for each service: "alive", or why it is not: "killed", "withdrawn", "expired" or "gone" (the directory does not know it)
local due, suspects, services, sweep, log, head, topics = unpack(KEYS, 1, 7)
local channel, topic, recovered, length, log_ms, head_ms = unpack(ARGV, 1, 6)
local FIRST_SERVICE_KEY, FIRST_SERVICE = 8, 7
local now = now_ms()

-- The service was not withdrawn: a part of its entries was deleted by hand. Removes the rest, so that the name is free again.
local function forget(service, incarnation)
  redis.call('ZREM', due, service.member)
  redis.call('SREM', suspects, service.member)
  if not incarnation or incarnation == service.incarnation then
    redis.call('DEL', service.key)
    redis.call('SREM', services, service.name)
  end
end

local function recover(service, was_suspect, was_there)
  if was_suspect then
    redis.call('SREM', suspects, service.member)
    count_up('service recovered ' .. word(service.name), 1)
    if type(redis.pcall('HINCRBY', service.key, 'flaps', 1)) == 'table' then
      redis.call('HSET', service.key, 'flaps', '1') -- it was no number
    end
  end
  local known = redis.call('HMGET', service.key, 'quiet', 'provides', 'groups')
  redis.call('HDEL', service.key, 'quiet')
  -- A suspicion that was not announced has no announced end. But whoever looked for an overdue service did not find it, and waits.
  if not (known[1] and was_there) then
    local body = announcement(recovered, service.name, service.incarnation, known[2], known[3])
    emit({log = log, head = head, topics = topics}, channel, topic, body, limits_from(length, log_ms, head_ms))
  end
end

local function beat(service, ttl_ms)
  local was = redis.pcall('HMGET', service.key, 'incarnation', 'state', 'beat_ms', 'ttl_ms') -- a key that is no hash, written by hand, must not stop the others
  local deadline = text(now + suspect_after(ttl_ms))
  local is_due = was[1] == service.incarnation and redis.call('ZADD', due, 'XX', 'CH', deadline, service.member) == 1
  if not is_due and not (was[1] == service.incarnation and redis.call('ZSCORE', due, service.member)) then -- "CH" counts no equal score
    local tombstone = redis.pcall('HMGET', service.tombstone, 'incarnation', 'reason')
    if tombstone[1] == service.incarnation then return tombstone[2] end
    forget(service, was[1])
    return 'gone'
  end
  local was_suspect, was_there = was[2] == 'suspect', is_heard(was[3], was[4], now)
  redis.call('HSET', service.key, 'beat_ms', text(now), 'ttl_ms', ttl_ms, 'state', 'alive')
  redis.call('PEXPIRE', service.key, ttl_ms + HOUR_MS)
  if was_suspect or not was_there then
    recover(service, was_suspect, was_there)
  end
  return 'alive'
end

local answers, is_heard = {}, false
for i = FIRST_SERVICE_KEY, #KEYS, 2 do
  local at = #answers * 3 + FIRST_SERVICE
  local service = {name = ARGV[at], incarnation = ARGV[at + 1], key = KEYS[i], tombstone = KEYS[i + 1]}
  service.member = service.name .. '#' .. service.incarnation
  local answer = beat(service, ARGV[at + 2])
  table.insert(answers, answer)
  is_heard = is_heard or answer == 'alive'
end
if is_heard then
  hear(sweep, now)
end
return answers
