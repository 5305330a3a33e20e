-- include: notify.server.now
-- include: workers.scripts.job_event
-- include: notify.server.whole
-- include: notify.server.lifetimes
-- Records the ends of runs of a worker: each key of a registry, and the hash of the worker, is written once for all.
--
-- finish(worker_key, worker, runs, now, others) -> for each run how its end was recorded:
--     "finished"    as RQ records it, in all of its keys
--     "refused"     not at all: the run was stopped or superseded before
--     "dependents"  not at all: other jobs wait for this one, and RQ's own code has to release them
--   and {how many were recorded now, and how many seconds they took}, for count_ends(); and whether any of the keys in others
--   is there, or anything that the runs were asked for in the same command
--   worker_key, worker  rq:worker:<name> and the name
--   runs    {id, fence, started_s, ended_s, started_at and ended_at as RQ writes them, result in base64 or "", ttl_s unless the job has
--           its own, is_announced: "1" if announce() was called for it, "?" if that is not known}
-- count_ends(worker_key, count, seconds): counts them for RQ
-- answer_of(run, known), dependents_of(id), to_be_finished(runs, answers, others), add_to(rows, at, ...), write_result(worker, run),
-- publish_end(worker, run, now), write_end(worker_key, worker, run, now): its steps
local function answer_of(run, known)
  if known[1] ~= run.fence then return 'refused' end
  if known[2] == 'finished' then return 'finished' end -- it was recorded before, and the answer was lost
  if known[2] ~= 'started' then return 'refused' end
  run.origin, run.own_ttl, run.depends, run.path = known[3] or '', known[4], known[5], function_of(known[6], known[7])
end

local function dependents_of(id)
  return k.dependents .. id .. k.dependents_end
end

-- Answers the runs that others wait for, and returns the runs whose ends are to be written, and whether there may be any of the keys in
-- others: hardly ever.
local function to_be_finished(runs, answers, others)
  local keys, open, left = {unpack(others)}, {}, {}
  for i, run in ipairs(runs) do
    answers[i] = answer_of(run, redis.call('HMGET', k.job .. run.id, 'fence', 'status', 'origin', 'result_ttl', 'dependency_ids', 'data', 'description'))
    if not answers[i] then
      keys[#keys + 1] = dependents_of(run.id)
      open[#open + 1] = i
    end
  end
  local is_any = keys[1] and redis.call('EXISTS', unpack(keys)) > 0
  for _, i in ipairs(open) do
    if is_any and redis.call('EXISTS', dependents_of(runs[i].id)) == 1 then
      answers[i] = 'dependents'
    else
      answers[i], left[#left + 1] = 'finished', runs[i]
    end
  end
  return left, is_any
end

local function add_to(rows, origin, ...)
  local row = rows[origin] or {}
  rows[origin] = row
  for _, value in ipairs({...}) do
    row[#row + 1] = value
  end
end

local function write_result(worker, run)
  local key = k.results .. run.id
  local result = {'type', '1', 'worker_name', worker, 'execution_id', run.fence,
    'execution_started_at', run.started_s, 'execution_ended_at', run.ended_s}
  if run.result ~= '' then
    result[#result + 1] = 'return_value'
    result[#result + 1] = run.result
  end
  if type(redis.pcall('XADD', key, 'MAXLEN', '~', '10', '*', unpack(result))) == 'table' then
    redis.call('DEL', key) -- it was no stream
    redis.call('XADD', key, '*', unpack(result))
  end
  if run.ttl < 0 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, run.ttl)
  end
end

local function publish_end(worker, run, now)
  local by = ',"worker":' .. cjson.encode(worker) .. ',"at_ms":'
  if not run.is_announced then -- nobody needed to hear of a start that is over already
    local lasted_ms = math.max(0, math.min(MINUTE_MS, math.floor((run.ended_s - run.started_s) * 1000)))
    publish_job_event(run.origin, run.id, 'started', by .. text(now - lasted_ms))
  end
  publish_job_event(run.origin, run.id, 'finished', by .. text(now))
end

local function write_end(worker_key, worker, run, now, is_only)
  local job = k.job .. run.id
  redis.call('HSET', job, 'status', 'finished', 'sealed', '1', 'started_at', run.started_at, 'ended_at', run.ended_at,
    'last_heartbeat', run.ended_at)
  if run.result ~= '' or k.is_lean == '' then
    write_result(worker, run)
  end
  if run.ttl >= 0 then
    redis.call('EXPIRE', job, run.ttl)
    if run.depends then
      redis.call('EXPIRE', k.dependencies .. run.id .. k.dependencies_end, run.ttl)
    end
  end
  if run.is_announced then
    redis.call('DEL', k.execution .. run.id .. ':' .. run.fence)
    redis.pcall('ZREM', k.executions .. run.id, run.fence)
    if k.worker_runs_end ~= '' then
      redis.pcall('SREM', worker_key .. k.worker_runs_end, run.id .. ':' .. run.fence)
    end
  end
  note_work('finished', run.origin, run.path, math.max(0, run.ended_s - run.started_s), is_only)
  publish_end(worker, run, now)
end

local function count_ends(worker_key, count, seconds)
  if count == 0 then return end
  redis.pcall('HINCRBY', worker_key, 'successful_job_count', count) -- the counters are no numbers if they were written by hand
  redis.pcall('HINCRBYFLOAT', worker_key, 'total_working_time', string.format('%.6f', seconds))
end

local function finish(worker_key, worker, runs, now, others)
  local answers, finished, started, seconds = {}, {}, {}, 0
  local left, is_any = to_be_finished(runs, answers, others or {})
  for _, run in ipairs(left) do
    if run.is_announced == '?' then
      run.is_announced = redis.call('EXISTS', k.execution .. run.id .. ':' .. run.fence)
    end
    run.is_announced = run.is_announced == '1' or run.is_announced == 1
    run.ttl = whole(run.own_ttl, tonumber(run.ttl_s), -1, LONGEST_TTL_S)
    seconds = seconds + run.ended_s - run.started_s
    add_to(finished, run.origin, run.ttl < 0 and '+inf' or math.floor(now / 1000) + run.ttl, run.id)
    add_to(started, run.origin, run.id .. ':' .. run.fence)
  end
  for origin, row in pairs(finished) do
    redis.call('ZADD', k.finished .. origin, unpack(row)) -- first: if that is refused, nothing of the ends is written
  end
  for _, run in ipairs(left) do
    write_end(worker_key, worker, run, now, not left[2])
  end
  for origin, row in pairs(started) do
    redis.call('ZREM', k.started .. origin, unpack(row))
  end
  return answers, {#left, seconds}, is_any
end
