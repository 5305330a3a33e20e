-- Gives back the lease of a worker that ends, and its lead if it leads: the worker that renews its lease next leads.
-- KEYS    leases        ns:leases
--         leader        ns:leader
--         cron_workers  ns:cron_workers
-- ARGV    worker
--         birth   when it was registered, as RQ writes it; if another worker has the name by now, nothing is done
--         prefix  of the key of a worker
-- returns 1 if the worker was the leader or else 0
local leases, leader, cron_workers = unpack(KEYS)
local worker, birth, prefix = unpack(ARGV)
local born = redis.pcall('HGET', prefix .. worker, 'birth')
if type(born) == 'string' and born ~= birth then return 0 end
redis.call('ZREM', leases, worker)
redis.call('HDEL', cron_workers, worker)
if redis.call('GET', leader) ~= worker then return 0 end
return redis.call('DEL', leader)
