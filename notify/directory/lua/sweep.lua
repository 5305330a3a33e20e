-- include: notify.events.append
-- include: notify.server.now
-- include: notify.directory.change
-- What a sweep has to look at now, and who looks next. One call is a whole sweep while nobody is due.
-- KEYS    1 ns:due  2 ns:sweep  3 ns:suspects  4 ns:log:services  5 ns:topic:services  6 ns:topics
-- ARGV    1 members at the most  2 interval_ms: one sweep at least in each  3 ms without any sweep after which a grace is given
--         4 ms between those who stand by  5 ms that one of them waits at the most
--         6 suspects that are never too many  7 part of all services that is
--         8 channel of services  9 its topic  10 body of the alarm  11-13 limits
-- returns {{member, ...}, ms until this one sweeps again, suspects if that is an alarm or else 0, services in all}
local now = now_ms()
local interval, standby_most = tonumber(ARGV[2]), tonumber(ARGV[5])
local was = redis.call('HMGET', KEYS[2], 'at_ms', 'duty_ms', 'slot_ms', 'alarm')
local duty, slot = tonumber(was[2] or '0'), tonumber(was[3] or '0')

-- Nobody looked for a while: the server was away, perhaps, and no heartbeat could reach it.
if not was[1] or now - was[1] > tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[2], 'grace_ms', text(now))
end

-- Very many are silent at once: that is rather the network than their death. It holds their withdrawals for a ttl, and does so
-- again only after the alarm has ended: nobody is held for ever.
local silent, all, alarm = redis.call('SCARD', KEYS[3]), redis.call('ZCARD', KEYS[1]), 0
local too_many = silent > tonumber(ARGV[6]) and silent > ARGV[7] * all
if too_many and not was[4] then
  redis.call('HSET', KEYS[2], 'held_ms', text(now), 'alarm', '1')
  local body = fill(ARGV[10], {silent = text(silent), of = text(all)})
  emit({log = KEYS[4], head = KEYS[5], topics = KEYS[6]}, ARGV[8], ARGV[9], body, limits_from(ARGV, 11))
  alarm = silent
elseif was[4] and not too_many then
  redis.call('HDEL', KEYS[2], 'alarm')
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])
local wait = 0
if #due > 0 then
  duty = now + interval  -- this one comes back as soon as it has dealt with them
else
  local wanted = now + interval
  local next_one = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now), text(wanted), 'WITHSCORES', 'LIMIT', 0, 1)
  if next_one[2] then wanted = tonumber(next_one[2]) end
  if duty <= now or duty > wanted then
    duty, wait = wanted, wanted - now
  else
    -- Another one looks in time. The rest stand by, one after the other, should that one die.
    slot = math.min(now + standby_most, math.max(now + interval, slot + ARGV[4]))
    wait = slot - now
  end
end
redis.call('HSET', KEYS[2], 'at_ms', text(now), 'duty_ms', text(duty), 'slot_ms', text(slot))
redis.call('PEXPIRE', KEYS[2], 86400000)
return {due, wait, alarm, all}
