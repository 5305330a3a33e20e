-- include: notify.events.append
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.server.whole
-- Finds the services that are due, and decides when this sweeper sweeps again. While no service is due, one call is a whole sweep.
-- KEYS    due       ns:due
--         sweep     ns:sweep
--         suspects  ns:suspects
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
-- ARGV    count           how many members at most
--         interval_ms     there is at least one sweep in each interval
--         late_ms         after so long without any sweep all services get a grace
--         spacing_ms      time between the sweepers that stand by
--         standby_ms      the longest time that a sweeper stands by
--         never_too_many  so many suspects never raise an alarm
--         share           the part of all services that must be suspected for an alarm
--         stays           "1" if this sweeper sweeps again; a single sweep does not take over the duty
--         channel, topic  of the directory
--         alarm           body of the alarm
--         length, log_ms, head_ms  limits
-- returns {{member, ...}, ms until this sweeper sweeps again, number of suspects if that raises an alarm or else 0, number of services}
local due, sweep, suspects, log, head, topics = unpack(KEYS)
local count, interval_ms, late_ms, spacing_ms, standby_ms, never_too_many, share, stays = unpack(ARGV, 1, 8)
local channel, topic, alarm, length, log_ms, head_ms = unpack(ARGV, 9)
local now = now_ms()
local interval, standby = tonumber(interval_ms), tonumber(standby_ms)
local was = redis.call('HMGET', sweep, 'at_ms', 'duty_ms', 'slot_ms', 'alarm', 'grace_ms', 'heard_ms')
local duty, slot = whole(was[2], 0), whole(was[3], 0, 0, now + DAY_MS)

-- There was no sweep for a while: perhaps the server was away, and no heartbeat could reach it. A grace that no heartbeat followed is
-- not given again: otherwise one that sweeps now and then, when it meets a dead service, would never withdraw it.
local unswept_ms = now - whole(was[1], 0, 0, now + DAY_MS)
local was_set_back = unswept_ms < -tonumber(late_ms)
local is_late = unswept_ms > tonumber(late_ms) and (was[6] or not was[5])
if is_late or was_set_back then
  redis.call('HSET', sweep, 'grace_ms', text(now))
  redis.call('HDEL', sweep, 'heard_ms')
end
if was_set_back then -- the clock: the next rounds give every service a deadline by the new time
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '(' .. text(now), '+inf')) do
    redis.call('ZADD', due, text(now), member)
  end
end

-- Very many services are silent at once: probably the network failed, not all of them. Their withdrawals are held for one ttl, and
-- again only after the alarm has ended: no withdrawal is held for ever.
local silent, services, raised = redis.call('SCARD', suspects), redis.call('ZCARD', due), 0
local too_many = silent > tonumber(never_too_many) and silent > share * services
if too_many and not was[4] then
  redis.call('HSET', sweep, 'held_ms', text(now), 'alarm', '1')
  local body = fill(alarm, {silent = text(silent), of = text(services)})
  emit({log = log, head = head, topics = topics}, channel, topic, body, limits_from(length, log_ms, head_ms))
  raised = silent
elseif was[4] and not too_many then
  redis.call('HDEL', sweep, 'alarm')
end

-- A deadline that is further away than any ttl was spoilt by hand: such a service is due now.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, text(now + 2 * DAY_MS), '+inf', 'LIMIT', 0, count)) do
  redis.call('ZADD', due, text(now), member)
end

local members, wait, wanted = {}, 0, now + interval
local first = redis.call('ZRANGEBYSCORE', due, '-inf', text(wanted), 'WITHSCORES', 'LIMIT', 0, count)
for i = 1, #first, 2 do
  if tonumber(first[i + 1]) > now then
    wanted = math.floor(first[i + 1]) -- the next one
    break
  end
  members[#members + 1] = first[i]
end
if #members > 0 then
  duty = now + interval  -- this sweeper returns as soon as it has dealt with them
else
  if duty <= now or duty > wanted then
    duty, wait = wanted, wanted - now
  else
    -- Another sweeper sweeps in time. The others stand by, one after the other, in case that sweeper dies.
    slot = math.min(now + standby, math.max(now + interval, slot + spacing_ms))
    wait = slot - now
  end
end
redis.call('HSET', sweep, 'at_ms', text(now))
if stays == '1' then
  redis.call('HSET', sweep, 'duty_ms', text(duty), 'slot_ms', text(slot))
end
if unswept_ms < 0 or math.floor(now / MINUTE_MS) > math.floor((now - unswept_ms) / MINUTE_MS) then -- once a minute
  redis.call('PEXPIRE', sweep, MONTH_MS)
end
return {members, wait, raised, services}
