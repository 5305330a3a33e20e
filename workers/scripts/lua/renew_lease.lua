-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.server.whole
-- include: workers.scripts.clock_jump
-- Renews the lease of a worker, gives it the name of a dead worker to clean up after, and elects the leader.
-- KEYS    leases   ns:leases
--         renewed  ns:renewed
--         leader   ns:leader
--         clock    ns:clock
--         ...  ns:callbacks:<queue> of each queue of the worker
-- ARGV    worker
--         birth     when it was registered, as RQ writes it; or "" to renew the lease whoever has the name
--         lease_ms
--         away_ms  if no lease was renewed for longer than this, the server was away; or its clock jumped, ahead or back
--         prefix   of the key of a worker
--         memory_kib  the memory of the worker, for its hash; or ""
--         before_ms, elapsed_ms  see parts/clock_jump.lua
-- returns {1 if the worker had no lease or else 0, the name of a dead worker or "", 1 if the worker leads for a lease or else 0,
--          the job that the dead worker was running or "", 1 if RQ's hash of the worker is gone or else 0, the clock in ms,
--          the newest element of each list of callbacks or "", 1 if another worker has the name by now, and nothing was done, or else 0}
local FIRST_CALLBACKS = 5
local leases, renewed, leader, clock = unpack(KEYS)
local worker, birth, lease_ms, away_ms, prefix, memory_kib, before_ms, elapsed_ms = unpack(ARGV)
local now, lease = now_ms(), tonumber(lease_ms)
local born = redis.pcall('HGET', prefix .. worker, 'birth')
if birth ~= '' and type(born) == 'string' and born ~= birth then return {0, '', 0, '', 0, text(now), {}, 1} end
local is_new = redis.call('ZADD', leases, text(now + lease), worker)
local last = whole(redis.pcall('GET', renewed), 0)
local was_away, was_set_back = now - last > tonumber(away_ms), last - now > tonumber(away_ms)
local is_unlisted = redis.pcall('HEXISTS', prefix .. worker, 'queues') == 0 and 1 or 0
redis.call('PEXPIRE', leases, DAY_MS)
local callbacks = {}
for i = FIRST_CALLBACKS, #KEYS do
  local newest = redis.pcall('LINDEX', KEYS[i], -1)
  callbacks[#callbacks + 1] = type(newest) == 'string' and newest or ''
end
redis.call('SET', renewed, text(now), 'PX', DAY_MS)

jumps_until(clock, now, before_ms, elapsed_ms)
local leads = (redis.call('GET', leader) or worker) == worker and 1 or 0
if leads == 1 then
  redis.call('SET', leader, worker, 'PX', lease_ms)
elseif was_set_back then -- a leader that is dead would lead until the clock is where it was
  redis.call('PEXPIRE', leader, lease_ms)
end

if memory_kib ~= '' and redis.call('EXISTS', prefix .. worker) == 1 then -- a hash that has expired must not come back without a TTL
  redis.pcall('HSET', prefix .. worker, 'memory_kib', memory_kib)
end

-- While the server was away no worker could renew its lease, and after a jump of its clock no lease has its length any more: every lease
-- begins anew, unless more was left of it.
if was_away or was_set_back then
  local all = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local left = math.min(whole(all[i + 1], 0) - math.max(now, last), DAY_MS)
    redis.call('ZADD', leases, text(now + math.max(lease, left)), all[i])
  end
end

local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, 1)[1]
if not dead then return {is_new, '', leads, '', is_unlisted, text(now), callbacks, 0} end
redis.call('ZADD', leases, text(now + lease), dead) -- no other worker cleans up after it, unless this worker dies meanwhile
return {is_new, dead, leads, redis.call('HGET', prefix .. dead, 'current_job') or '', is_unlisted, text(now), callbacks, 0}
