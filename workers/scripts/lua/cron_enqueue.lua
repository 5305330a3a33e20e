-- include: workers.scripts.transitions
-- Enqueues a job of a rhythm once for each of its times, whoever asks: it is due at the next one after that.
-- KEYS    1 ns:cron_due  2 ns:cron_last  3 rq:queues  4 rq:queue:<name>  5 rq:job:<id>
-- ARGV    1-2 as in names.lua, then  1 name  2 ms at which it was due  3 ms at which it is due next, "" for never  4 id of the job
--         5 its queue  6 its needs as JSON, or ""  7... fields and values of the job
-- returns 1 if it was enqueued or else 0: it was before
local w = of_waiting()
if tonumber(redis.call('ZSCORE', KEYS[1], arg(1)) or '-1') ~= tonumber(arg(2)) then return 0 end
local is_new = redis.call('EXISTS', KEYS[5]) == 0
if is_new then
  redis.call('RPUSH', KEYS[4], arg(4)) -- first: it fails if that is no queue
end
if arg(3) == '' then
  redis.call('ZREM', KEYS[1], arg(1))
else
  redis.call('ZADD', KEYS[1], arg(3), arg(1))
end
if not is_new then return 0 end
local now = now_ms()
local fields = {turn = text(now * 1000), needs = arg(6) ~= '' and arg(6) or nil}
redis.call('HSET', KEYS[5], 'turn', fields.turn, unpack(ARGV, 9))
if fields.needs then
  fields.needs = up_to_date(needs_of(fields)) -- what is not there is the claim's to see
  redis.call('HSET', KEYS[5], 'needs', fields.needs)
  w.join_needs(arg(4), fields, now)
end
redis.call('SADD', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[2], arg(1), arg(2))
redis.call('PEXPIRE', KEYS[2], 7 * 86400000)
tell(arg(5), arg(4), 'enqueued', ',"at_ms":' .. text(now))
settle(now)
return 1
