-- include: workers.scripts.transitions
-- Puts the jobs whose time has come onto their queues, of all queues that no other scheduler looks after. A job is taken out of the
-- schedule in the same step, so it is enqueued once however many call this.
-- KEYS    1 rq:queues
-- ARGV    1-2 as in names.lua, then  1 how we are called as a scheduler  2 ms for which a queue is ours  3 jobs at the most
--         4 ms to wait at the most  5 seconds a job may take by default
-- returns {how many jobs were enqueued, ms until the next one is due, 0 if there are more already}
local w = of_waiting()
local now, most = now_ms(), tonumber(arg(3))
local NOT_TO_RUN = {queued = true, started = true, canceled = true, stopped = true}

-- Two schedulers of RQ's kind would enqueue a job twice: there is one for each queue.
local function is_ours(name)
  local holder = redis.pcall('GET', k.lock .. name) -- what is no string is somebody's, too
  if holder and holder ~= arg(1) then return false end
  redis.call('SET', k.lock .. name, arg(1), 'PX', arg(2))
  return true
end

local function is_list(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'list' or kind == 'none'
end

local function fields_of(job)
  local names = {'status', 'needs', 'ttl', 'timeout', 'ended_at', 'enqueue_at_front', 'enqueue_at_front_on_retry'}
  local values, fields = redis.pcall('HMGET', job, unpack(names)), {} -- what is no hash has none
  for i = 1, #values do
    fields[names[i]] = values[i] or nil
  end
  return fields
end

local function is_set(field)
  return (tonumber(field or '') or 0) ~= 0
end

-- As RQ's Job.should_enqueue_at_front.
local function goes_first(fields)
  return is_set(fields.enqueue_at_front) or (is_set(fields.enqueue_at_front_on_retry) and (fields.ended_at or '') ~= '')
end

local function enqueue(name, id)
  local job = k.job .. id
  local fields = fields_of(job)
  if not fields.status or NOT_TO_RUN[fields.status] then return 0 end
  redis.call('HSET', job, 'status', 'queued', 'enqueued_at', NOW_AT, 'origin', name, 'turn', text(now * 1000))
  if (fields.timeout or '') == '' then
    redis.call('HSET', job, 'timeout', arg(5))
  end
  if (tonumber(fields.ttl or '') or 0) > 0 then
    for _, key in ipairs({job, k.dependents .. id .. k.dependents_end, k.dependencies .. id .. k.dependencies_end}) do
      redis.call('EXPIRE', key, fields.ttl)
    end
  end
  fields.turn = text(now * 1000)
  w.join_needs(id, fields, now)
  redis.call(goes_first(fields) and 'LPUSH' or 'RPUSH', k.queue .. name, id)
  tell(name, id, 'enqueued', ',"at_ms":' .. text(now))
  return 1
end

local enqueued, looked_at, wait = 0, 0, tonumber(arg(4))
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
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
settle(now)
return {enqueued, wait}
