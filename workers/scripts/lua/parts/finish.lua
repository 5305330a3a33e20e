-- include: workers.scripts.job_event
-- include: notify.server.whole
-- Records the end of a run.
--
-- finish(worker_key, worker, run, now) -> how the end of a run was recorded:
--     "finished"    as RQ records it, in all of its keys
--     "refused"     not at all: the run was stopped or superseded before
--     "dependents"  not at all: other jobs wait for this one, and RQ's own code has to release them
--   worker_key, worker  rq:worker:<name> and the name
--   run     {id, fence, started_s, ended_s, ended_at as RQ writes it, result in base64 or "", ttl_s unless the job has its own}
local function finish(worker_key, worker, run, now)
  local job = k.job .. run.id
  local known = redis.call('HMGET', job, 'fence', 'status', 'origin', 'result_ttl', 'dependency_ids')
  if known[1] ~= run.fence then return 'refused' end
  if known[2] == 'finished' then return 'finished' end -- it was recorded before, and the answer was lost
  if known[2] ~= 'started' then return 'refused' end
  if redis.call('EXISTS', k.dependents .. run.id .. k.dependents_end) == 1 then return 'dependents' end
  local now_s = math.floor(now / 1000)
  local origin, execution = known[3] or '', run.id .. ':' .. run.fence
  local ttl_s = whole(known[4], tonumber(run.ttl_s), -1, LONGEST_TTL_S)
  local result = {'type', '1', 'worker_name', worker, 'execution_id', run.fence,
    'execution_started_at', run.started_s, 'execution_ended_at', run.ended_s}
  if run.result ~= '' then
    result[#result + 1] = 'return_value'
    result[#result + 1] = run.result
  end
  redis.call('HSET', job, 'status', 'finished', 'sealed', '1', 'ended_at', run.ended_at, 'last_heartbeat', run.ended_at)
  if type(redis.pcall('XADD', k.results .. run.id, 'MAXLEN', '~', '10', '*', unpack(result))) == 'table' then
    redis.call('DEL', k.results .. run.id) -- it was no stream
    redis.call('XADD', k.results .. run.id, '*', unpack(result))
  end
  if ttl_s < 0 then
    redis.call('PERSIST', k.results .. run.id)
    redis.call('ZADD', k.finished .. origin, '+inf', run.id)
  else
    redis.call('EXPIRE', k.results .. run.id, ttl_s)
    redis.call('ZADD', k.finished .. origin, now_s + ttl_s, run.id)
    redis.call('EXPIRE', job, ttl_s)
    if known[5] then
      redis.call('EXPIRE', k.dependencies .. run.id .. k.dependencies_end, ttl_s)
    end
  end
  redis.call('DEL', k.execution .. execution)
  redis.pcall('ZREM', k.executions .. run.id, run.fence)
  redis.call('ZREM', k.started .. origin, execution)
  if k.worker_runs_end ~= '' then
    redis.pcall('SREM', worker_key .. k.worker_runs_end, execution)
  end
  redis.pcall('HINCRBY', worker_key, 'successful_job_count', 1) -- the counters are no numbers if they were written by hand
  redis.pcall('HINCRBYFLOAT', worker_key, 'total_working_time', run.ended_s - run.started_s)
  publish_job_event(origin, run.id, 'finished', ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. text(now))
  return 'finished'
end
