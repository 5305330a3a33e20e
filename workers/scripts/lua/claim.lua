-- include: workers.scripts.transitions
-- include: workers.scripts.finish
-- Records how the last run of a worker ended, and gives it the next job of its queues: one step, so that no job is ever nowhere.
-- KEYS    1 rq:worker:<name>  2 rq:suspended  3... rq:queue:<name>, the most urgent first
-- ARGV    1-2 as in names.lua, then  1 fence of the run that begins  2 worker
--         3 "again" if this was asked before and the answer was lost, or ""
--         4 seconds between heartbeats of a run  5 seconds an idle worker may be silent  6 seconds a job may take by default
--         7-13 the run that ended as in finish.lua: id (or "" if none did), fence, started_s, ended_s, ended_at, result, ttl_s
--         14 how many bytes the call of a job may have
-- returns {end, claim, number of the queue, job, its fields and values, size of its call if that is above the limit and left out, or 0}
--         end    "", "finished", or "refused" or "dependents": then nothing was claimed
--         claim  "started", "" (there is none), "suspended", "more" (ask again)
-- What is first and has lost a service it needs is dealt with here and now.
local fence, worker, interval_s = arg(1), arg(2), tonumber(arg(4))
local worker_key = KEYS[1]
local now = now_ms()
local now_s = math.floor(now / 1000)
local QUEUES = 3 -- KEYS from there on
local PASSED_OVER = 200 -- ids of jobs that are not to run, in one go

local oversized = 0 -- how many bytes the call of the job has that was looked at last, if that is above the limit

-- What there is to know of a job that nobody will run.
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
  oversized = type(bytes) == 'number' and bytes > tonumber(arg(14)) and bytes or 0
  local flat, fields = oversized > 0 and fields_of_oversized(job) or redis.pcall('HGETALL', job), {} -- what is no hash has none
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return flat, fields
end

local function start(job, id, fields)
  local execution, origin = id .. ':' .. fence, fields.origin or ''
  local timeout_s = tonumber(fields.timeout or '') or tonumber(arg(6))
  local ttl_s = (timeout_s > 0 and math.min(timeout_s, interval_s) or interval_s) + 60
  redis.call('ZADD', k.started .. origin, now_s + ttl_s, execution) -- first: from here on it is found whatever happens
  if fields.outcome or fields.sealed or fields.stopped then
    redis.call('HDEL', job, 'outcome', 'sealed', 'stopped')
  end
  if fields.held then
    of_waiting().unhold(id, fields) -- RQ's own tools put it back
  end
  redis.call('HSET', job, 'status', 'started', 'fence', fence, 'worker_name', worker, 'started_at', NOW_AT, 'last_heartbeat', NOW_AT)
  if fields.ttl or (fields.ended_at or '') ~= '' then
    redis.call('PERSIST', job) -- it had a lifetime as one that waits, or as one that has ended
  end
  redis.call('HSET', k.execution .. execution, 'id', fence, 'created_at', now_s, 'last_heartbeat', now_s, 'worker_name', worker)
  redis.call('EXPIRE', k.execution .. execution, ttl_s)
  redis.call('ZADD', k.executions .. id, now_s + ttl_s + 60, fence)
  redis.call('EXPIRE', k.executions .. id, ttl_s + 60)
  redis.call('HSET', worker_key, 'state', 'busy', 'current_job', id, 'current_job_working_time', '0', 'last_heartbeat', NOW_AT)
  redis.call('EXPIRE', worker_key, interval_s + 60)
  tell(origin, id, 'started', ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. text(now))
end

local function leave_indexes(id, fields)
  for need in pairs(needs_of(fields) or {}) do
    redis.call('ZREM', k.needs .. need, id)
  end
end

-- What this claim gave out when it was asked the first time.
local function given()
  local id = redis.call('HGET', worker_key, 'current_job') or ''
  local flat, fields = fields_of(k.job .. id)
  if fields.fence ~= fence then return nil end
  local number, list = 0, k.queue .. (fields.origin or '')
  for i = QUEUES, #KEYS do
    if KEYS[i] == list then number = i - QUEUES end
  end
  return 'started', number, id, flat
end

local function claim()
  if arg(3) == 'again' then
    local answer, number, id, flat = given()
    if answer then return answer, number, id, flat end
  end
  if redis.call('EXISTS', KEYS[2]) == 1 then return 'suspended' end
  local passed = 0
  for number = QUEUES, #KEYS do
    local id = redis.call('LINDEX', KEYS[number], 0)
    while id do
      local job = k.job .. id
      local flat, fields = fields_of(job)
      local may_start = fields.status == 'queued' and string.find(id, '^[%w_-]+$') -- RQ takes no other ids
      local starts = may_start and not (loss_of(fields) and of_waiting().judge(id, fields, now))
      if starts then
        start(job, id, fields)
      end
      -- One that is held keeps its place in the index: it was here when it lost what it needs, and the list was not tidied yet.
      if starts or not may_start and not of_waiting().waits(fields) then
        leave_indexes(id, fields)
      end
      redis.call('LPOP', KEYS[number]) -- last of all: what an error leaves undone is still there
      if starts then return 'started', number - QUEUES, id, flat end
      passed = passed + 1
      if passed == PASSED_OVER then return 'more' end
      id = redis.call('LINDEX', KEYS[number], 0)
    end
  end
  return ''
end

local ended = ''
if arg(7) ~= '' then
  local run = {id = arg(7), fence = arg(8), started_s = arg(9), ended_s = arg(10), ended_at = arg(11), result = arg(12), ttl_s = arg(13)}
  ended = finish(worker_key, worker, run, now)
  if ended ~= 'finished' then return {ended, '', 0, '', {}, 0} end
end
local answer, number, id, flat = claim()
if answer ~= 'started' then
  redis.call('HSET', worker_key, 'state', 'idle', 'last_heartbeat', NOW_AT)
  redis.call('HDEL', worker_key, 'current_job')
  redis.call('EXPIRE', worker_key, arg(5))
end
settle(now)
return {ended, answer, number or 0, id or '', flat or {}, oversized}
