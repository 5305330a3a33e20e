-- include: now
-- include: loss
-- include: finish
-- Records how the last run of a worker ended, and gives it the next job of its queues: one step, so that no job is ever nowhere.
-- KEYS    1 ns:losses  2 ns:services  3 rq:worker:<name>  4 rq:suspended  5... rq:queue:<name>, the most urgent first
-- ARGV    1 fence of the run that begins  2 worker  3 now as RQ writes it
--         4 "again" if this was asked before and the answer was lost, or ""
--         5 seconds between heartbeats of a run  6 seconds an idle worker may be silent  7 seconds a job may take by default
--         8-18 how the keys of RQ begin (and end), and ns:needs: as in the table k
--         19-25 the run that ended as in finish.lua: id (or "" if none did), fence, started_s, ended_s, ended_at, result, ttl_s
--         26 how many bytes the call of a job may have
-- returns {end, claim, number of the queue, job, its fields and values, size of its call if that is above the limit and left out, or 0}
--         end    "", "finished", or "refused" or "dependents": then nothing was claimed
--         claim  "started", "" (there is none), "suspended", "more" (ask again), or "lost:<service>": the first
--                one of the queue lost that, and is still there
local k = {
  worker = KEYS[3], job = ARGV[8], execution = ARGV[9], executions = ARGV[10], results = ARGV[11], started = ARGV[12],
  finished = ARGV[13], needs = ARGV[14], dependents = ARGV[15], dependents_end = ARGV[16], dependencies = ARGV[17],
  dependencies_end = ARGV[18],
}
local fence, worker, now_at, interval_s = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local now_s = math.floor(now_ms() / 1000)
local PASSED_OVER = 500 -- ids without a job that waits, in one go

local oversized = 0 -- how many bytes the call of the job has that was looked at last, if that is above the limit

-- What there is to know of a job that nobody will run.
local function fields_of_oversized(job)
  local names = {'status', 'origin', 'created_at', 'timeout', 'ttl', 'failure_ttl', 'needs', 'on_loss', 'fence', 'ended_at',
    'outcome', 'sealed', 'stopped'}
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
  oversized = type(bytes) == 'number' and bytes > tonumber(ARGV[26]) and bytes or 0
  local flat, fields = oversized > 0 and fields_of_oversized(job) or redis.pcall('HGETALL', job), {} -- what is no hash has none
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return flat, fields
end

-- It no longer waits: the services it needs need not know of it.
local function leave_needs(fields, id)
  if not fields.needs then return end
  local readable, needs = pcall(cjson.decode, fields.needs)
  if not readable or type(needs) ~= 'table' then return end
  for need in pairs(needs) do
    redis.call('ZREM', k.needs .. need, id)
  end
end

local function start(job, id, fields)
  local execution, origin = id .. ':' .. fence, fields.origin or ''
  local timeout_s = tonumber(fields.timeout or '') or tonumber(ARGV[7])
  local ttl_s = (timeout_s > 0 and math.min(timeout_s, interval_s) or interval_s) + 60
  redis.call('ZADD', k.started .. origin, now_s + ttl_s, execution) -- first: from here on it is found whatever happens
  if fields.outcome or fields.sealed or fields.stopped then
    redis.call('HDEL', job, 'outcome', 'sealed', 'stopped')
  end
  redis.call('HSET', job, 'status', 'started', 'fence', fence, 'worker_name', worker, 'started_at', now_at, 'last_heartbeat', now_at)
  if fields.ttl or (fields.ended_at or '') ~= '' then
    redis.call('PERSIST', job) -- it had a lifetime as one that waits, or as one that has ended
  end
  redis.call('HSET', k.execution .. execution, 'id', fence, 'created_at', now_s, 'last_heartbeat', now_s, 'worker_name', worker)
  redis.call('EXPIRE', k.execution .. execution, ttl_s)
  redis.call('ZADD', k.executions .. id, now_s + ttl_s + 60, fence)
  redis.call('EXPIRE', k.executions .. id, ttl_s + 60)
  redis.call('HSET', k.worker, 'state', 'busy', 'current_job', id, 'current_job_working_time', '0', 'last_heartbeat', now_at)
  redis.call('EXPIRE', k.worker, interval_s + 60)
end

-- What this claim gave out when it was asked the first time.
local function given()
  local id = redis.call('HGET', k.worker, 'current_job') or ''
  local flat, fields = fields_of(k.job .. id)
  if fields.fence ~= fence then return nil end
  local number, tail = 0, ':' .. (fields.origin or '')
  for i = 5, #KEYS do
    if string.sub(KEYS[i], -#tail) == tail then number = i - 5 end
  end
  return 'started', number, id, flat
end

local function claim()
  if ARGV[4] == 'again' then
    local answer, number, id, flat = given()
    if answer then return answer, number, id, flat end
  end
  if redis.call('EXISTS', KEYS[4]) == 1 then return 'suspended' end
  local passed = 0
  for number = 5, #KEYS do
    local id = redis.call('LINDEX', KEYS[number], 0)
    while id do
      local job = k.job .. id
      local flat, fields = fields_of(job)
      local waits = fields.status == 'queued' and string.find(id, '^[%w_-]+$') -- RQ takes no other ids
      local lost = waits and fields.needs and lost_need(job, KEYS[1], KEYS[2])
      if lost then return 'lost:' .. lost, number - 5, id, flat end
      leave_needs(fields, id)
      if waits then
        start(job, id, fields)
        redis.call('LPOP', KEYS[number])
        return 'started', number - 5, id, flat
      end
      redis.call('LPOP', KEYS[number])
      passed = passed + 1
      if passed == PASSED_OVER then return 'more' end
      id = redis.call('LINDEX', KEYS[number], 0)
    end
  end
  return ''
end

local ended = ''
if ARGV[19] ~= '' then
  local run = {id = ARGV[19], fence = ARGV[20], started_s = ARGV[21], ended_s = ARGV[22], ended_at = ARGV[23], result = ARGV[24], ttl_s = ARGV[25]}
  ended = finish(k, worker, run, now_s)
  if ended ~= 'finished' then return {ended, '', 0, '', {}, 0} end
end
local answer, number, id, flat = claim()
if answer ~= 'started' then
  redis.call('HSET', k.worker, 'state', 'idle', 'last_heartbeat', now_at)
  redis.call('HDEL', k.worker, 'current_job')
  redis.call('EXPIRE', k.worker, ARGV[6])
end
return {ended, answer, number or 0, id or '', flat or {}, oversized}
