-- include: workers.scripts.transitions
-- include: workers.scripts.finish
-- include: workers.scripts.wake
-- include: workers.scripts.beside
-- include: workers.scripts.pauses
-- include: workers.scripts.server_error
-- Records how the last run of a worker ended, and gives the worker the next job of its queues, in one step: so no job gets lost between.
-- KEYS    worker_key  rq:worker:<name>
--         suspended   rq:suspended
--         paused      ns:paused
--         ...         rq:queue:<name>, the most urgent first
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         fence              of the run that begins
--         worker
--         asked              "again" if the same claim was made before and its answer was lost, or ""
--         heartbeat_s        seconds between heartbeats of a run
--         idle_s             seconds that an idle worker may be silent
--         default_timeout_s  the timeout of a job that has none of its own
--         ended_id           the job of the run that ended, or "" if none did; then the next eight are "" as well
--         ended_fence, announced, started_s, ended_s, started_at, ended_at, result, result_ttl_s  of that run, see finish()
--         max_bytes          the largest call of a job
--         skips_foreign      "1" leaves pickled jobs of plain RQ where they are, or ""
--         from               how many jobs, in the order of the queues, to pass over: an earlier call left them
--         line               the runs that go on, see refill.lua
--         rooms              JSON: only these functions may be called, and so often, see parts/beside.lua; or "": any
-- returns {end, claim, number of the queue, job, its fields and values, size of its call if that is above the limit and left out, or 0,
--          an overdue service that a job waits for, or "", how many jobs are left on the queue of the job that was claimed}
--         end    "", "finished", or "refused" or "dependents": then no job was claimed
--         claim  "started", "" (there is no job), "suspended", "more" (ask again), "look": examine_call has to mark the job first, or "other":
--                the job that comes first calls another function
--         number  for "more", "look" and "other" what to pass as from; for "" how many jobs were left where they are
-- If a job that comes first has lost a need, its policy is applied in the same step, and the next job is tried. If a need of it is
-- overdue, the job stays where it is, and those behind it are tried.
local worker_key, suspended, paused = unpack(KEYS, 1, 3)
local fence, worker, asked, heartbeat_s, idle_s, default_timeout_s = unpack(ARGV, OWN, OWN + 5)
local ended_id, ended_fence, announced, started_s, ended_s, started_at, ended_at = unpack(ARGV, OWN + 6, OWN + 12)
local result, result_ttl_s, max_bytes, skips_foreign, from, line, rooms = unpack(ARGV, OWN + 13, OWN + 19)
local FIRST_QUEUE = 4
local PASSED_OVER = 200 -- how many jobs that must not start are taken off the lists in one call
local LOOKED_AT = 200 -- how many jobs of a queue may wait for an overdue service before the next queue is tried
local MOST_BYTES_BESIDE = 65536 -- of a call: what the process has not read yet fits into the socket to it
local interval_s = tonumber(heartbeat_s)
local now = now_ms()
local now_s = math.floor(now / 1000)
local STATUSES = {created = true, queued = true, started = true, finished = true, failed = true, stopped = true, canceled = true,
  deferred = true, scheduled = true, rate_limited = true, ready_to_enqueue = true} -- RQ's
local overdue_service = '' -- see the answer
local oversized = 0 -- size of the call of the job that was read last, in bytes, if that is above the limit

-- The fields of a job whose call is above the limit, without the call: no worker will run it.
local function fields_of_oversized(job)
  local names = {'status', 'origin', 'created_at', 'timeout', 'ttl', 'failure_ttl', 'needs', 'on_loss', 'fence', 'ended_at',
    'outcome', 'sealed', 'stopped', 'turn', 'held', 'max_hold_ms', 'grace_ms'}
  local flat = {'data', ''}
  for i, value in ipairs(redis.call('HMGET', job, unpack(names))) do
    if value then
      flat[#flat + 1] = names[i]
      flat[#flat + 1] = value
    end
  end
  return flat
end

local function fields_of(job)
  local bytes = redis.pcall('HSTRLEN', job, 'data')
  oversized = type(bytes) == 'number' and bytes > tonumber(max_bytes) and bytes or 0
  local flat, fields = oversized > 0 and fields_of_oversized(job) or redis.pcall('HGETALL', job), {} -- a key that is no hash has no fields
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return flat, fields
end

local function start(job, id, fields)
  local execution, origin = id .. ':' .. fence, fields.origin or ''
  local timeout_s = whole(fields.timeout, tonumber(default_timeout_s), -1, LONGEST_TTL_S)
  local ttl_s = (timeout_s > 0 and math.min(timeout_s, interval_s) or interval_s) + 60
  redis.call('ZADD', k.started .. origin, now_s + ttl_s, execution) -- first: from here on the reaper finds the run, whatever happens
  if fields.outcome or fields.sealed or fields.stopped then
    redis.call('HDEL', job, 'outcome', 'sealed', 'stopped')
  end
  if fields.held then
    transitions().unhold(id, fields) -- RQ's own tools put the held job back on its queue
  end
  redis.call('HSET', job, 'status', 'started', 'fence', fence, 'worker_name', worker, 'started_at', NOW_AT, 'last_heartbeat', NOW_AT)
  if fields.ttl or (fields.ended_at or '') ~= '' then
    redis.call('PERSIST', job) -- the key had a lifetime from waiting, or from an end before
  end
  if k.is_lean == '' then
    redis.call('HSET', k.execution .. execution, 'id', fence, 'created_at', now_s, 'last_heartbeat', now_s, 'worker_name', worker)
    redis.call('EXPIRE', k.execution .. execution, ttl_s)
    redis.call('ZADD', k.executions .. id, now_s + ttl_s + 60, fence)
    redis.call('EXPIRE', k.executions .. id, ttl_s + 60)
  end
  redis.call('HSET', worker_key, 'state', 'busy', 'current_job', string.match(line, '^[^:]+') or id, 'ahead',
    line == '' and execution or line .. ' ' .. execution, 'current_job_working_time', '0', 'last_heartbeat', NOW_AT)
  redis.call('EXPIRE', worker_key, interval_s + 60)
  if k.worker_runs_end ~= '' then
    redis.call('SADD', worker_key .. k.worker_runs_end, execution)
    redis.call('EXPIRE', worker_key .. k.worker_runs_end, interval_s + 60)
  end
  note_start(origin, fields, now, true)
  publish_job_event(origin, id, 'started', ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. text(now))
end

-- Starts a job unless it has lost a need or has to wait for one. Returns whether it did, and the overdue service that it waits for.
local function begin(job, id, fields)
  local lost, _, overdue = loss_of(fields)
  if lost then
    if transitions().apply_policy(id, fields, now) then return false end
    _, _, overdue = loss_of(fields) -- the loss did not count
  end
  if overdue then return false, overdue end
  start(job, id, fields)
  return true
end

local function leave_indexes(id, fields)
  for need in pairs(needs_of(fields) or {}) do
    redis.pcall('ZREM', k.needs .. need, id)
  end
end

-- What keeps a job in a list from being looked at at all, or nil. RQ accepts no other ids; a job that is gone is no problem.
local function problem_of(job, id, flat, fields)
  if not flat[1] then
    local kind = redis.call('TYPE', job).ok
    return kind ~= 'none' and 'its key is a ' .. kind .. ', not a hash' or nil
  end
  if not STATUSES[fields.status] then return 'its status is unknown' end
  if fields.status == 'queued' and not string.find(id, '^[%w_-]+$') then return 'its id has other characters than letters, digits, _ and -' end
end

-- Records that a job cannot even start, where an operator sees it: it has failed, with a reason. Nothing here may raise an error.
local function refuse(list, job, id, problem)
  local queue = string.sub(list, #k.queue + 1)
  local reason = 'the job cannot be read (' .. problem .. ')'
  if redis.call('TYPE', job).ok == 'hash' then
    redis.call('HDEL', job, 'fence', 'sealed', 'stopped', 'held')
    redis.call('HSET', job, 'status', 'failed', 'origin', queue, 'ended_at', NOW_AT, 'outcome', outcome_of('failed', reason, now, '{"rule":"unreadable"}'))
  end
  redis.pcall('ZREM', k.started .. queue, id .. ':' .. fence)
  redis.pcall('ZADD', k.failed .. queue, now_s + math.floor(YEAR_MS / 1000), id)
  redis.pcall('HINCRBY', worker_key, 'failed_job_count', 1)
  note_job('failed', queue, '(unknown)')
  local shown = string.sub(string.gsub(id, '[^%w%p ]', '?'), 1, 200)
  publish_job_event(queue, shown, 'failed', ',"reason":' .. cjson.encode(reason) .. ',"at_ms":' .. text(now) .. ',"why":{"rule":"unreadable"}')
end

-- The answer that this claim had the first time, if it gave out a job; else nil.
local function claimed_before()
  local id = string.match(redis.call('HGET', worker_key, 'ahead') or '', '(%S+):' .. fence) or ''
  local flat, fields = fields_of(k.job .. id)
  if fields.fence ~= fence then return nil end
  local number, list = 0, k.queue .. (fields.origin or '')
  for i = FIRST_QUEUE, #KEYS do
    if KEYS[i] == list then number = i - FIRST_QUEUE end
  end
  return 'started', number, id, flat
end

-- Whether a job is left to the workers of plain RQ: "foreign", "" if not, or "look" if its call has to be unpacked to tell.
local function kind_of(job)
  if skips_foreign ~= '1' then return '' end
  local known = redis.pcall('HMGET', job, 'status', 'call')
  if known[1] ~= 'queued' or known[2] == 'json' then return '' end
  if known[2] == 'pickled' then return 'foreign' end
  local bytes = redis.call('HSTRLEN', job, 'data')
  if bytes == 0 or bytes <= tonumber(max_bytes) and string.sub(redis.call('HGET', job, 'data'), 1, 1) == '[' then return '' end
  return 'look'
end

-- Whether a job that may start calls another function than those that may be called now.
local function is_other(job)
  if rooms == '' then return false end
  local known = redis.pcall('HMGET', job, 'status', 'data')
  local data = known[2] or ''
  return known[1] == 'queued' and (#data > MOST_BYTES_BESIDE or not takes(rooms_of(rooms), data, true))
end

local function take_off(list, id, at)
  if at == 0 then return redis.call('LPOP', list) end
  redis.call('LREM', list, 1, id)
end

-- Starts a job of a list, or finds out why it does not start. Returns whether it did, its fields and values, and the overdue service
-- that it waits for; unless it waits, the caller takes it off the list.
local function try(list, id)
  local job = k.job .. id
  local flat, fields = fields_of(job)
  local problem, may_start = problem_of(job, id, flat, fields), fields.status == 'queued'
  local starts, overdue = false, nil
  if not problem and may_start then
    -- A key that belongs to this job may be of another type: such a job must not keep all others from their turn.
    local done, found, service = pcall(begin, job, id, fields)
    if not done and is_of_server(found) then error(found, 0) end -- the job keeps its turn
    starts, overdue, problem = done and found, service, not done and message_of(found) or nil
  end
  if problem then
    refuse(list, job, id, problem)
  end
  -- A held job keeps its place in the index: it lost a need while it was in the list, which has not been compacted yet.
  if starts or problem or not may_start and not transitions().is_waiting(fields) then
    leave_indexes(id, fields)
  end
  return starts, flat, overdue
end

-- The overdue service that a job waits for, or nil; read without the call of the job, for many jobs may wait.
local function awaited_by(id)
  local known = redis.pcall('HMGET', k.job .. id, 'status', 'needs', 'on_loss')
  if known[1] ~= 'queued' or not known[2] then return nil end
  local lost, _, overdue = loss_of({needs = known[2], on_loss = known[3] or nil})
  return not lost and overdue or nil
end

local passed, before = 0, 0 -- jobs looked at in this call, without those that wait; jobs left in the queues before this one

local function claim_from(list)
  local at = tonumber(from) > before and math.min(from - before, redis.call('LLEN', list)) or 0
  local waiting = 0 -- jobs that wait for an overdue service
  local id = redis.call('LINDEX', list, at)
  while id and waiting < LOOKED_AT do
    local kind = kind_of(k.job .. id)
    if kind == 'look' then return 'look', before + at, id end
    if kind == '' and is_other(k.job .. id) then return 'other', before + at end
    local overdue = kind == '' and waiting > 0 and awaited_by(id)
    if kind == '' and not overdue then
      local starts, flat
      starts, flat, overdue = try(list, id)
      if not overdue then
        take_off(list, id, at) -- last: after an error the job is still in the list
      end
      if starts then return 'started', nil, id, flat end
    end
    if overdue then
      overdue_service, waiting = overdue, waiting + 1
    else
      passed = passed + 1
    end
    if overdue or kind == 'foreign' then
      at = at + 1
    end
    if passed == PASSED_OVER then return 'more', before + at end
    id = redis.call('LINDEX', list, at)
  end
  before = before + at
end

local function claim()
  if asked == 'again' then
    local answer, number, id, flat = claimed_before()
    if answer then return answer, number, id, flat end
  end
  if is_suspended(suspended, paused) then return 'suspended' end
  local kept = 0 -- jobs on paused queues
  for i = FIRST_QUEUE, #KEYS do
    if is_paused(KEYS[i]) then
      kept = kept + redis.call('LLEN', KEYS[i])
    else
      local answer, number, id, flat = claim_from(KEYS[i])
      if answer then return answer, number or i - FIRST_QUEUE, id, flat end
    end
  end
  return '', before + kept
end

local ended = ''
if ended_id ~= '' then
  local run = {id = ended_id, fence = ended_fence, is_announced = announced, started_s = started_s, ended_s = ended_s}
  run.started_at, run.ended_at, run.result, run.ttl_s = started_at, ended_at, result, result_ttl_s
  local answers, counted = finish(worker_key, worker, {run}, now)
  count_ends(worker_key, unpack(counted))
  ended = answers[1]
  if ended ~= 'finished' then return {ended, '', 0, '', {}, 0, '', 0} end
end
local answer, number, id, flat = claim()
if answer ~= 'started' and line ~= '' then
  redis.call('HSET', worker_key, 'current_job', string.match(line, '^[^:]+'), 'ahead', line, 'last_heartbeat', NOW_AT)
  redis.call('EXPIRE', worker_key, interval_s + 60)
elseif answer ~= 'started' then
  redis.call('HSET', worker_key, 'state', 'idle', 'last_heartbeat', NOW_AT)
  redis.call('HDEL', worker_key, 'current_job', 'ahead')
  redis.call('EXPIRE', worker_key, idle_s)
end
if answer == '' and number == 0 and KEYS[FIRST_QUEUE] then
  redis.call('DEL', unpack(not_served(queues_in(KEYS, FIRST_QUEUE), worker)))
end
local left = 0
if answer == 'started' and KEYS[FIRST_QUEUE + number] then
  local list = KEYS[FIRST_QUEUE + number]
  local length = redis.pcall('LLEN', list)
  left = type(length) == 'number' and length or 0
  wake_behind(string.sub(list, #k.queue + 1), left, worker, ended_id ~= '' and ended_s - started_s or nil)
end
flush_changes(now)
return {ended, answer, number or 0, id or '', flat or {}, oversized, overdue_service, left}
