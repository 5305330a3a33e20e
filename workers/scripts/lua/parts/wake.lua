-- include: notify.server.lifetimes
-- Wakes idle workers: each takes one token, see workers/worker/waiter.py. While a worker is awake that takes one short job after the
-- other, each new job would otherwise wake one more: they would only take the processor from each other and from whoever enqueues.
-- A worker that serves a queue therefore says so, for SERVED_MS: a run that it begins is over by then, or it has woken others; see
-- workers/worker/end_waiter.py.
--
-- wake(queue, count): leaves a token for each of that many jobs, but no more than so many workers would use
-- is_awaited(queue) -> whether a worker serves the queue, or a token is left that nobody has taken yet
-- wake_behind(queue, length, worker, last_s): called by a claim, see below
-- queues_in(keys, first) -> the names of the queues whose keys these are, from the first one on
-- not_served(queues, worker) -> the keys to delete when a worker finds these queues empty
local MOST_TOKENS = 32
local SERVED_MS = 50
local PACE_MS = 50
local SLOW_PACE_MS = 500
local SHORT_S = 0.002 -- a run that takes less costs the server and the worker as much as itself: another worker gains little
local FEW = 2000 -- so many short jobs a worker gets done in about a second

local function wake(queue, count)
  local list, tokens = k.wake .. queue, {}
  for i = 1, math.min(count, MOST_TOKENS) do
    tokens[i] = '1'
  end
  local length = redis.pcall('RPUSH', list, unpack(tokens))
  if type(length) ~= 'number' then -- it was no list
    redis.call('DEL', list)
    redis.call('RPUSH', list, unpack(tokens))
  elseif length > MOST_TOKENS then
    redis.call('LTRIM', list, 0, MOST_TOKENS - 1)
  end
  redis.call('PEXPIRE', list, MINUTE_MS)
  redis.call('SET', k.served .. queue, '', 'PX', SERVED_MS) -- until that worker claims the job
end

local function is_awaited(queue)
  return redis.call('EXISTS', k.served .. queue, k.wake .. queue) > 0
end

-- Notes that a worker serves a queue, and wakes another one, if it is time, for the jobs that its claim leaves there.
--   length  their number
--   last_s  how long the run took that the worker has just ended; or nil if it was idle: then it is given time to show how it gets on
local function wake_behind(queue, length, worker, last_s)
  redis.call('SET', k.served .. queue, worker, 'PX', SERVED_MS)
  if length == 0 then return end
  local pace_ms = last_s and (last_s >= SHORT_S or length >= FEW) and PACE_MS or SLOW_PACE_MS
  local left_ms = redis.call('PTTL', k.woken .. queue)
  if left_ms > 0 and left_ms <= pace_ms then return end -- more is left of a slower pace
  redis.call('SET', k.woken .. queue, '1', 'PX', pace_ms)
  if last_s then
    wake(queue, 1)
  end
end

local function queues_in(keys, first)
  local queues = {}
  for i = first, #keys do
    queues[#queues + 1] = string.sub(keys[i], #k.queue + 1)
  end
  return queues
end

-- The tokens of jobs that workers took without being woken would wake others for nothing, and the next job needs a worker at once, unless
-- another worker still serves the queue.
local function not_served(queues, worker)
  local keys, served = {}, {}
  for i, queue in ipairs(queues) do
    keys[#keys + 1], keys[#keys + 2] = k.wake .. queue, k.woken .. queue
    served[i] = k.served .. queue
  end
  for i, by in ipairs(served[1] and redis.call('MGET', unpack(served)) or {}) do
    if by == worker or by == '' then
      keys[#keys + 1] = served[i]
    end
  end
  return keys
end
