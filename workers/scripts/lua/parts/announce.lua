-- include: notify.server.now
-- include: workers.scripts.job_event
-- Records what RQ holds of a run beside its place among the started jobs, and publishes the event of its start.
--
-- announce(worker, id, fence, now, ttl_s): does so once; most runs are over before anybody could look. A lean worker does not
--   ttl_s   seconds within which the run sends its next heartbeat
local function announce(worker, id, fence, now, ttl_s)
  local execution = k.execution .. id .. ':' .. fence
  if k.is_lean ~= '' or redis.call('EXISTS', execution) == 1 then return end
  local now_s = math.floor(now / 1000)
  redis.call('HSET', execution, 'id', fence, 'created_at', now_s, 'last_heartbeat', now_s, 'worker_name', worker)
  redis.call('EXPIRE', execution, ttl_s)
  redis.call('ZADD', k.executions .. id, now_s + ttl_s + 60, fence)
  redis.call('EXPIRE', k.executions .. id, ttl_s + 60)
  if k.worker_runs_end ~= '' then
    redis.call('SADD', k.worker .. worker .. k.worker_runs_end, id .. ':' .. fence)
    redis.call('EXPIRE', k.worker .. worker .. k.worker_runs_end, ttl_s)
  end
  local origin = redis.call('HGET', k.job .. id, 'origin') or ''
  publish_job_event(origin, id, 'started', ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. text(now))
end
