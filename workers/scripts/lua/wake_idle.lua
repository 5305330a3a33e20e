-- include: workers.scripts.prefixes
-- include: workers.scripts.wake
-- Wakes workers for jobs for which nobody was woken: others than our scripts enqueued them, or the worker that was has a long job.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         leaving       "1" if the worker that served the queues has a long job; "" to wake workers for queues that nobody serves
--         ...           names of queues
-- returns how many of the queues hold jobs and are served by a worker that may have a long job: they must be looked at again
local leaving = unpack(ARGV, OWN, OWN)
local FIRST_QUEUE = OWN + 1
local AT_ONCE = 2 -- each of them either has a long job too and wakes two more, or soon takes the next one
local left = 0
for i = FIRST_QUEUE, #ARGV do
  local queue = ARGV[i]
  if leaving ~= '' then
    redis.call('DEL', k.served .. queue) -- the next job needs another worker
  end
  local length = redis.pcall('LLEN', k.queue .. queue)
  if type(length) == 'number' and length > 0 then
    if not is_awaited(queue) then
      wake(queue, leaving ~= '' and math.min(length, AT_ONCE) or 1)
    elseif redis.call('EXISTS', k.wake .. queue) == 0 then
      left = left + 1
    end
  end
end
return left
