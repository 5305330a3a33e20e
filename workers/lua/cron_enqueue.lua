-- Enqueues a job of a rhythm once for each of its times, whoever asks: it is due at the next one after that.
-- KEYS    1 ns:cron_due  2 ns:cron_last  3 rq:queues  4 rq:queue:<name>  5 rq:job:<id>  6... ns:needs:<service>
-- ARGV    1 name  2 ms at which it was due  3 ms at which it is due next, "" for never  4 id of the job
--         5 now in ms  6 ms the index of a need lives  7... fields and values of the job
-- returns 1 if it was enqueued or else 0: it was before
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '-1') ~= tonumber(ARGV[2]) then return 0 end
local is_new = redis.call('EXISTS', KEYS[5]) == 0
if is_new then
  redis.call('RPUSH', KEYS[4], ARGV[4]) -- first: it fails if that is no queue
end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
if not is_new then return 0 end
redis.call('HSET', KEYS[5], unpack(ARGV, 7))
redis.call('SADD', KEYS[3], KEYS[4])
for i = 6, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[5], ARGV[4])
  redis.call('PEXPIRE', KEYS[i], ARGV[6])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], 7 * 86400000)
return 1
