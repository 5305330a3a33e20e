-- include: emit
-- include: now
-- Takes one incarnation of a service out of the directory and announces it: once, whoever comes first.
-- KEYS    1 ns:services  2 ns:due  3 ns:service:<name>  4 ns:tombstone:<name>  5 ns:losses
--         6 ns:log:services  7 ns:topic:services  8 ns:topics  9 ns:log:<status>  10 ns:topic:<status>
--         11... ns:provides:<capability>
-- ARGV    1 name  2 incarnation  3 reason  4 why  5 "1" only if it is due (the sweep)
--         6 channel of services  7 its topic  8 body for it  9 channel of status  10 its topic  11 body for it  12-14 limits
-- returns the id of the status event, or false if this incarnation is not there any more (or not due)
local member = ARGV[1] .. '#' .. ARGV[2]
local now = now_ms()
local score = redis.call('ZSCORE', KEYS[2], member)
if not score or (ARGV[5] == '1' and tonumber(score) > now) then
  return false
end
redis.call('ZREM', KEYS[2], member)
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[3])
for i = 11, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
redis.call('HSET', KEYS[4], 'incarnation', ARGV[2], 'reason', ARGV[3], 'why', ARGV[4], 'at_ms', text(now))
redis.call('PEXPIRE', KEYS[4], 86400000)
-- Jobs remember the serial they saw when they were enqueued: from here on, none of those that need this service starts.
local serial = math.max(now, tonumber(redis.call('HGET', KEYS[5], ARGV[1]) or '0') + 1)
redis.call('HSET', KEYS[5], ARGV[1], text(serial))
redis.call('PEXPIRE', KEYS[5], 30 * 86400000)
local limits = limits_from(ARGV, 12)
emit({log = KEYS[6], head = KEYS[7], topics = KEYS[8]}, ARGV[6], ARGV[7], ARGV[8], limits)
local id = emit({log = KEYS[9], head = KEYS[10], topics = KEYS[8]}, ARGV[9], ARGV[10], ARGV[11], limits)
redis.call('HSET', KEYS[4], 'event', id)
return id
