-- include: workers.scripts.transitions
-- include: workers.scripts.rate_limit
-- Puts scheduled jobs whose time has come onto their queues, of all queues that no other scheduler looks after. A job is taken out of
-- the schedule in the same step, so it is enqueued once, however many leaders call this.
-- KEYS    queues  rq:queues
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         scheduler          the value of the lock of a queue while a leader holds it
--         lock_ms            how long the lock lasts
--         count              how many jobs at most
--         longest_wait_ms    the longest wait to answer
--         default_timeout_s  the timeout of a job that has none of its own
-- returns {how many jobs were enqueued, ms until the next job is due or 0 if more jobs are due already}
local scheduler, lock_ms, count, longest_wait_ms, default_timeout_s = unpack(ARGV, OWN)
local queues = KEYS[1]
local jobs = transitions()
local now, most = now_ms(), tonumber(count)
local NOT_TO_RUN = {queued = true, started = true, canceled = true, stopped = true}

-- Takes the lock of a queue, unless one of RQ's own schedulers has it: without the lock both would enqueue the same job.
local function is_ours(name)
  local holder = redis.pcall('GET', k.lock .. name) -- a key that is no string counts as the lock of another scheduler
  if holder and holder ~= scheduler then return false end
  redis.call('SET', k.lock .. name, scheduler, 'PX', lock_ms)
  return true
end

local function is_list(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'list' or kind == 'none'
end

local function fields_of(job)
  local names = {'status', 'needs', 'ttl', 'timeout', 'ended_at', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'rate_limit_key',
    'rate_limit_concurrency', 'data', 'description'}
  local values, fields = redis.pcall('HMGET', job, unpack(names)), {} -- a key that is no hash has no fields
  for i = 1, #values do
    fields[names[i]] = values[i] or nil
  end
  return fields
end

local function is_set(field)
  return whole(field, 0) ~= 0
end

-- The same as RQ's Job.should_enqueue_at_front.
local function goes_first(fields)
  return is_set(fields.enqueue_at_front) or (is_set(fields.enqueue_at_front_on_retry) and (fields.ended_at or '') ~= '')
end

local function enqueue(name, id)
  local job = k.job .. id
  local fields = fields_of(job)
  if not fields.status or NOT_TO_RUN[fields.status] then return 0 end
  local is_limited = (fields.rate_limit_key or '') ~= ''
  redis.call('HSET', job, 'status', is_limited and 'rate_limited' or 'queued', 'enqueued_at', NOW_AT, 'origin', name, 'turn', text(now * 1000))
  if (fields.timeout or '') == '' then
    redis.call('HSET', job, 'timeout', default_timeout_s)
  end
  local ttl_s = whole(fields.ttl, 0, 0, LONGEST_TTL_S)
  if ttl_s > 0 then
    for _, key in ipairs({job, k.dependents .. id .. k.dependents_end, k.dependencies .. id .. k.dependencies_end}) do
      redis.call('EXPIRE', key, ttl_s)
    end
  end
  if is_limited then -- the leader enqueues it when the limit of RQ 3 has room
    await_place(id, fields.rate_limit_key, fields.rate_limit_concurrency, now)
    return 1
  end
  fields.turn = text(now * 1000)
  jobs.join_needs(id, fields, now)
  redis.call(goes_first(fields) and 'LPUSH' or 'RPUSH', k.queue .. name, id)
  note_job('enqueued', name, function_of(fields.data, fields.description))
  publish_job_event(name, id, 'enqueued', ',"at_ms":' .. text(now))
  return 1
end

local enqueued, looked_at, wait = 0, 0, tonumber(longest_wait_ms)
for _, key in ipairs(redis.call('SMEMBERS', queues)) do
  local name = string.sub(key, #k.queue + 1)
  local first = redis.pcall('ZRANGE', k.scheduled .. name, 0, 0, 'WITHSCORES')
  if first[1] and is_list(key) and is_ours(name) then
    local due = redis.call('ZRANGEBYSCORE', k.scheduled .. name, '-inf', string.format('%.3f', now / 1000), 'LIMIT', 0, most - looked_at)
    for _, id in ipairs(due) do
      redis.call('ZREM', k.scheduled .. name, id)
      enqueued = enqueued + enqueue(name, id)
    end
    looked_at = looked_at + #due
    if looked_at == most then
      wait = 0
      break
    end
    local next_s = redis.call('ZRANGE', k.scheduled .. name, 0, 0, 'WITHSCORES')[2]
    wait = math.min(wait, next_s and tonumber(next_s) * 1000 - now or wait)
  end
end
flush_changes(now)
return {enqueued, wait}
