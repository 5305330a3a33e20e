-- include: notify.server.now
-- Renews the lease of a worker, gives it one whose lease is over, and elects the leader: a single command while nobody is dead.
-- KEYS    1 ns:leases  2 ns:renewed  3 ns:leader
-- ARGV    1 worker  2 lease_ms  3 ms without any renewal after which the server was away  4 how the key of a worker begins
-- returns {1 if the worker had no lease or else 0, the name of one that is dead or "", 1 if it leads for a lease or else 0,
--          the job that the dead one has in hand or ""}
local DAY = 86400000
local now, lease = now_ms(), tonumber(ARGV[2])
local is_new = redis.call('ZADD', KEYS[1], text(now + lease), ARGV[1])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
redis.call('PEXPIRE', KEYS[1], DAY)
redis.call('SET', KEYS[2], text(now), 'PX', DAY)

local leader = redis.call('GET', KEYS[3]) or ARGV[1]
local leads = leader == ARGV[1] and 1 or 0
if leads == 1 then
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
end

-- While the server was away nobody could renew a lease: all get a whole one from here on.
if now - last > tonumber(ARGV[3]) then
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('ZADD', KEYS[1], 'GT', text(now + lease), worker)
  end
end

local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, 1)[1]
if not over then return {is_new, '', leads, ''} end
redis.call('ZADD', KEYS[1], text(now + lease), over) -- nobody else takes it out, unless we die over it
return {is_new, over, leads, redis.call('HGET', ARGV[4] .. over, 'current_job') or ''}
