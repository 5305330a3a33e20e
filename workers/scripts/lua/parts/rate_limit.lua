-- The rate limits of RQ 3.
--
-- await_place(id, key, concurrency, now): has a job wait for a place within its rate limit; the leader enqueues it when there is one
--   key, concurrency  the fields rate_limit_key and rate_limit_concurrency of the job
local function await_place(id, key, concurrency, now)
  redis.call('HSET', k.job .. id, 'status', 'rate_limited')
  redis.call('SADD', k.rate_limits, key)
  redis.call('HSET', k.rate_limit .. key, 'concurrency', concurrency or '1')
  redis.call('ZADD', k.rate_limit .. key .. k.rate_limited_end, text(now / 1000), id)
end
