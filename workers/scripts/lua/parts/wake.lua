-- include: notify.server.lifetimes
-- Wakes idle workers: each takes one token, see workers/worker/waiter.py. While a worker is awake that takes one short job after the
-- other, each job would otherwise wake one more: they would only take the processor from each other and from whoever enqueues.
--
-- wake(queue, count): leaves a token for each of that many jobs, but no more than so many workers would use
-- wake_one_more(queue): leaves one, unless that was done in the last PACE_MS; returns whether it did
local MOST_TOKENS = 32
local PACE_MS = 50

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
end

local function wake_one_more(queue)
  if not redis.call('SET', k.woken .. queue, '1', 'NX', 'PX', PACE_MS) then return false end
  wake(queue, 1)
  return true
end
