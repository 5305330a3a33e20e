-- include: workers.scripts.prefixes
-- include: workers.scripts.wake
-- Wakes workers for jobs for which nobody was woken: others than our scripts enqueued them, or the worker that was has a long job.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         paced         "1" to wake one worker for each queue and no more, or "" to wake one for each job
--         ...           names of queues
-- returns how many of the queues hold jobs for which nobody was woken now or before
local paced = unpack(ARGV, OWN, OWN)
local FIRST_QUEUE = OWN + 1
local left = 0
for i = FIRST_QUEUE, #ARGV do
  local length = redis.pcall('LLEN', k.queue .. ARGV[i])
  if type(length) == 'number' and length > 0 and redis.call('EXISTS', k.wake .. ARGV[i]) == 0 then
    if paced == '' then
      wake(ARGV[i], length)
    elseif not wake_one_more(ARGV[i]) then
      left = left + 1
    end
  end
end
return left
