-- include: notify.events.append
-- include: notify.server.now
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Takes one incarnation of a service out of the directory and announces it: once, whoever comes first.
-- KEYS    1 ns:services  2 ns:due  3 ns:service:<name>  4 ns:tombstone:<name>  5 ns:losses  6 ns:suspects  7 ns:sweep
--         8 ns:log:services  9 ns:topic:services  10 ns:topics  11 ns:log:<status>  12 ns:topic:<status>
--         13... ns:provides:<capability>, ns:tombstone:any <capability> by turns, then ns:group:<group>
-- ARGV    1 name  2 incarnation  3 reason  4 why  5 "1" only if it is due (the sweep)  6 its groups as they were read, as JSON
--         7 channel of services  8 its topic  9 body for it  10 channel of status  11 its topic  12 body for it  13-15 limits
--         16... "any <capability>" in the order of the keys
-- returns the id of the status event; false if this incarnation is not there any more, or not due; 0 if it has other groups by now
local member = ARGV[1] .. '#' .. ARGV[2]
local now = now_ms()
local score = redis.call('ZSCORE', KEYS[2], member)
if not score or (ARGV[5] == '1' and tonumber(score) > now) then
  return false
end
local says = redis.pcall('HMGET', KEYS[3], 'incarnation', 'beat_ms', 'ttl_ms', 'provides', 'groups')
local described = says[1] == ARGV[2]
if described and (says[5] or '') ~= ARGV[6] then
  return 0
end
if described and ARGV[5] == '1' then
  local heard = math.max(tonumber(says[2]) or 0, since(KEYS[7], 'grace_ms'), since(KEYS[7], 'held_ms'))
  local deadline = heard + (tonumber(says[3]) or 0)
  if deadline > now then
    redis.call('ZADD', KEYS[2], text(deadline), member)
    return false
  end
end
redis.call('ZREM', KEYS[2], member)
redis.call('SREM', KEYS[6], member)
if described or not tonumber(says[1] or '') then  -- else a successor has the name
  redis.call('SREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[3])
end
local capabilities = #ARGV - 15
for i = 13 + 2 * capabilities, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end

local lost = {} -- KEYS of tombstones: that of the service, and those of the capabilities that nobody provides any more
-- Jobs remember the serial they saw when they were enqueued: from here on, none of those that need this starts.
local function lose(need, i)
  redis.call('HSET', KEYS[i], 'service', ARGV[1], 'incarnation', ARGV[2], 'reason', ARGV[3], 'why', ARGV[4], 'at_ms', text(now))
  redis.call('PEXPIRE', KEYS[i], 86400000)
  local serial = math.max(now, tonumber(redis.call('HGET', KEYS[5], need) or '0') + 1)
  redis.call('HSET', KEYS[5], need, text(serial))
  lost[#lost + 1] = i
end

lose(ARGV[1], 4)
for i = 13, 12 + 2 * capabilities, 2 do
  if redis.call('ZREM', KEYS[i], ARGV[1]) == 1 and redis.call('EXISTS', KEYS[i]) == 0 then
    lose(ARGV[16 + (i - 13) / 2], i + 1)
  end
end
redis.call('PEXPIRE', KEYS[5], 30 * 86400000)
local limits = limits_from(ARGV, 13)
local body = announcement(ARGV[9], ARGV[1], ARGV[2], described and says[4], described and says[5])
emit({log = KEYS[8], head = KEYS[9], topics = KEYS[10]}, ARGV[7], ARGV[8], body, limits)
local id = emit({log = KEYS[11], head = KEYS[12], topics = KEYS[10]}, ARGV[10], ARGV[11], ARGV[12], limits)
for _, i in ipairs(lost) do
  redis.call('HSET', KEYS[i], 'event', id)
end
return id
