-- include: notify.events.append
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Takes one incarnation of a service out of the directory and announces that: once, however many processes call this.
-- KEYS    services   ns:services
--         due        ns:due
--         service    ns:service:<name>
--         tombstone  ns:tombstone:<name>
--         losses     ns:losses
--         suspects   ns:suspects
--         sweep      ns:sweep
--         log, head, topics       ns:log:services, ns:topic:services, ns:topics
--         status_log, status_head  ns:log:<status>, ns:topic:<status>
--         ...        ns:provides:<capability>, ns:tombstone:any <capability> by turns, then ns:group:<group>
-- ARGV    name
--         incarnation
--         reason       as the tombstone names it: "killed", "withdrawn" or "expired"
--         why          in words, or ""
--         only_if_due  "1" for the sweep: withdraw the service only if its deadline has passed
--         groups       the groups of the service as they were read, as JSON
--         channel, topic  of the directory
--         withdrawn    body of the announcement there
--         status_channel, status_topic  of the service's status
--         ended        body of the event there
--         length, log_ms, head_ms  limits
--         ...          "any <capability>" in the order of the keys
-- returns the id of the status event; false if this incarnation is not registered any more, or not due; 0 if its groups have changed
local services, due, service, tombstone, losses, suspects, sweep, log, head, topics, status_log, status_head = unpack(KEYS, 1, 12)
local name, incarnation, reason, why, only_if_due, groups = unpack(ARGV, 1, 6)
local channel, topic, withdrawn, status_channel, status_topic, ended, length, log_ms, head_ms = unpack(ARGV, 7, 15)
local FIRST_CAPABILITY_KEY, FIRST_CAPABILITY = 13, 16
local member = name .. '#' .. incarnation
local now = now_ms()
local score = redis.call('ZSCORE', due, member)
if not score then return false end
local is_early = whole(score, 0, 0, now + DAY_MS) > now
local known = redis.pcall('HMGET', service, 'incarnation', 'beat_ms', 'ttl_ms', 'provides', 'groups')
local described = known[1] == incarnation
if described and (known[5] or '') ~= groups then
  return 0
end
if only_if_due == '1' then
  local ttl_ms, beat_ms = whole(known[3], 0, 0, DAY_MS), whole(known[2], 0)
  local is_ahead = beat_ms > now + ttl_ms -- the clock was set back, and the next sweep gives the service a new deadline
  if is_early and (is_ahead or not described) then return false end
  local heard = math.max(is_ahead and 0 or beat_ms, since(sweep, 'grace_ms'), since(sweep, 'held_ms'))
  if described and heard + ttl_ms > now then
    if not is_early then redis.call('ZADD', due, text(heard + ttl_ms), member) end
    return false
  end
end
redis.call('ZREM', due, member)
redis.call('SREM', suspects, member)
if described or not whole(known[1]) then  -- else a successor has the name
  redis.call('SREM', services, name)
  redis.call('DEL', service)
end
local first_group_key = FIRST_CAPABILITY_KEY + 2 * (#ARGV - FIRST_CAPABILITY + 1)
for i = first_group_key, #KEYS do
  redis.call('ZREM', KEYS[i], name)
end

local tombstones = {} -- of the service, and of the capabilities that no service provides any more
-- Jobs remember the serial of a need at the time when they were enqueued: a higher serial keeps them from starting.
local function lose(need, key)
  redis.call('HSET', key, 'service', name, 'incarnation', incarnation, 'reason', reason, 'why', why, 'at_ms', text(now))
  redis.call('PEXPIRE', key, DAY_MS)
  local serial = math.max(now, whole(redis.call('HGET', losses, need), 0, 0, now + DAY_MS) + 1)
  redis.call('HSET', losses, need, text(serial))
  tombstones[#tombstones + 1] = key
end

lose(name, tombstone)
for i = FIRST_CAPABILITY_KEY, first_group_key - 1, 2 do
  if redis.call('ZREM', KEYS[i], name) == 1 and redis.call('EXISTS', KEYS[i]) == 0 then
    lose(ARGV[FIRST_CAPABILITY + (i - FIRST_CAPABILITY_KEY) / 2], KEYS[i + 1])
  end
end
redis.call('PEXPIRE', losses, MONTH_MS)
local limits = limits_from(length, log_ms, head_ms)
local body = announcement(withdrawn, name, incarnation, described and known[4], described and known[5])
emit({log = log, head = head, topics = topics}, channel, topic, body, limits)
local id = emit({log = status_log, head = status_head, topics = topics}, status_channel, status_topic, ended, limits)
for _, key in ipairs(tombstones) do
  redis.call('HSET', key, 'event', id)
end
return id
