-- include: workers.scripts.announce
-- include: workers.scripts.wake
-- Puts jobs that a worker has claimed ahead and not begun back on the front of their queues, in their old order, and announces the run
-- behind which they would have to wait.
-- KEYS    worker_key  rq:worker:<name>
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         worker
--         id, fence  of the run that goes on, or ""
--         ttl_s      seconds within which it sends its next heartbeat
--         line       the runs that stay with the worker, see refill.lua
--         ...        the runs to put back, the oldest first: id, fence
-- returns the ids of those that are not put back: they were stopped, or the worker has them no more
local worker_key = KEYS[1]
local worker, id, fence, ttl_s, line = unpack(ARGV, OWN, OWN + 4)
local FIRST_RUN = OWN + 5
local OF_A_RUN = 2 -- arguments
local AT_ONCE = 2 -- as in wake_idle.lua
local refused, back, registered = {}, {}, {} -- ids; queue -> how many, registry -> entries

local function put_back(job_id, job_fence)
  local job = k.job .. job_id
  local known = redis.call('HMGET', job, 'fence', 'status', 'origin')
  if known[1] ~= job_fence or known[2] ~= 'started' then
    refused[#refused + 1] = job_id
    return
  end
  local origin = known[3] or ''
  redis.call('LPUSH', k.queue .. origin, job_id)
  redis.call('HSET', job, 'status', 'queued')
  redis.call('HDEL', job, 'fence', 'worker_name', 'started_at', 'last_heartbeat')
  back[origin] = (back[origin] or 0) + 1
  local entries = registered[k.started .. origin] or {}
  registered[k.started .. origin] = entries
  entries[#entries + 1] = job_id .. ':' .. job_fence
end

for i = #ARGV - 1, FIRST_RUN, -OF_A_RUN do -- each before the one that was put back last
  put_back(ARGV[i], ARGV[i + 1])
end
for key, entries in pairs(registered) do
  redis.call('ZREM', key, unpack(entries))
end
for queue, count in pairs(back) do
  redis.call('DEL', k.served .. queue)
  wake(queue, math.min(count, AT_ONCE))
end
if line == '' then
  redis.call('HDEL', worker_key, 'current_job', 'ahead')
elseif redis.call('EXISTS', worker_key) == 1 then
  redis.call('HSET', worker_key, 'current_job', string.match(line, '^[^:]*'), 'ahead', line)
end
if id ~= '' and redis.call('HGET', k.job .. id, 'fence') == fence then
  announce(worker, id, fence, now_ms(), tonumber(ttl_s))
end
close_topics()
return refused
