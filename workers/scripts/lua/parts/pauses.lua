-- include: notify.server.lifetimes
-- include: workers.scripts.prefixes
-- Whether workers may take jobs: all of them may be suspended (rq suspend), and a queue may be paused.
-- is_suspended(suspended, paused)  whether no worker takes any job; to be called first. One command asks for both: there is seldom either.
-- is_paused(list)  whether the queue of a list is paused. While workers ask, that is not forgotten.
local pauses = nil -- the key of the paused queues, if there are any

local function is_suspended(suspended, paused)
  if redis.call('EXISTS', suspended, paused) == 0 then return false end
  pauses = paused
  return redis.call('EXISTS', suspended) == 1
end

local function is_paused(list)
  if not pauses or redis.call('SISMEMBER', pauses, string.sub(list, #k.queue + 1)) == 0 then return false end
  redis.call('PEXPIRE', pauses, MONTH_MS)
  return true
end
