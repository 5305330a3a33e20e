-- Gives back the lease of a worker that ends, and its lead if it leads: whoever renews his own next has that at once.
-- KEYS    1 ns:leases  2 ns:leader  3 ns:cron_workers
-- ARGV    1 worker
-- returns 1 if it led or else 0
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[2])
