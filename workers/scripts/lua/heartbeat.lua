-- include: notify.server.now
-- Records, by the clock of the server, that a run goes on and its worker lives. What RQ holds of the run is written again if its time
-- was over, unless the run has ended, or has the job no more.
-- KEYS    worker_key  rq:worker:<name>
--         job         rq:job:<id>
--         execution   rq:execution:<id>:<fence>
--         executions  rq:executions:<id>
--         started     rq:wip:<queue>
-- ARGV    worker
--         id            of the job
--         fence         of the run
--         now_at        the current time as RQ writes it, for the hashes; no decision depends on it
--         working_s     for how many seconds the run has been going on
--         ttl_s         seconds within which the run sends its next heartbeat
--         worker_ttl_s  seconds within which the worker does
-- returns 1 if the run goes on or else 0
local worker_key, job, execution, executions, started = unpack(KEYS)
local worker, id, fence, now_at, working_s, ttl_s, worker_ttl_s = unpack(ARGV)
local now_s = math.floor(now_ms() / 1000)
redis.call('HSET', worker_key, 'last_heartbeat', now_at, 'current_job_working_time', working_s)
redis.call('EXPIRE', worker_key, worker_ttl_s)
if k.worker_runs_end ~= '' then
  redis.call('EXPIRE', worker_key .. k.worker_runs_end, worker_ttl_s)
end
local known = redis.call('HMGET', job, 'fence', 'status', 'stopped')
if known[3] == fence then -- its process is being ended
  redis.call('ZADD', started, 'XX', text(now_s + ttl_s), id .. ':' .. fence)
  return 0
end
if known[1] ~= fence or known[2] ~= 'started' then return 0 end
redis.call('HSET', worker_key, 'current_job', id)
redis.call('HSET', job, 'last_heartbeat', now_at)
redis.call('ZADD', started, text(now_s + ttl_s), id .. ':' .. fence)
redis.call('HSETNX', execution, 'created_at', text(now_s))
redis.call('HSET', execution, 'id', fence, 'worker_name', worker, 'last_heartbeat', text(now_s))
redis.call('EXPIRE', execution, ttl_s)
redis.call('ZADD', executions, text(now_s + ttl_s + 60), fence)
redis.call('EXPIRE', executions, text(ttl_s + 60))
return 1
