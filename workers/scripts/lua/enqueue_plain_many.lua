-- include: notify.server.now
-- include: workers.scripts.job_event
-- include: workers.scripts.wake
-- Puts jobs on the end of a queue, as enqueue.lua does: new ones, without needs and without a lifetime, that have all fields but two in
-- common. A script that does so little for each job does not look at the fields of each.
-- KEYS    queues  rq:queues
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua; NOW_AT is also the time at which the jobs were enqueued
--         queue
--         timeout, failure_ttl  fields of all jobs
--         ...     for each job: id (letters, digits, _ and -), data, description
-- returns nothing
local queue, timeout, failure_ttl = unpack(ARGV, OWN, OWN + 2)
local queues = KEYS[1]
local FIRST_JOB = OWN + 3
local OF_A_JOB = 3 -- arguments
local list, job = k.queue .. queue, k.job
local turn = now_us()
local ids = {}
for i = FIRST_JOB, #ARGV, OF_A_JOB do
  ids[#ids + 1] = ARGV[i]
end
local length = redis.call('RPUSH', list, unpack(ids))
if length == #ids then
  redis.call('SADD', queues, list)
end
for i = FIRST_JOB, #ARGV, OF_A_JOB do
  redis.call('HSET', job .. ARGV[i], 'turn', turn, 'created_at', NOW_AT, 'enqueued_at', NOW_AT, 'data', ARGV[i + 1],
    'description', ARGV[i + 2], 'origin', queue, 'timeout', timeout, 'failure_ttl', failure_ttl, 'status', 'queued')
  turn = turn + 1 -- as in enqueue.lua; the server writes a whole number below 2^52 as its digits, and faster than text() does
end

local counted = {}
for i = FIRST_JOB, #ARGV, OF_A_JOB do
  local path = function_of(ARGV[i + 1], ARGV[i + 2])
  counted[path] = (counted[path] or 0) + 1
end
for path, n in pairs(counted) do
  note_job('enqueued', queue, path, n)
end

-- The first event opens, creates and shortens the log; for the others the steps of append() are written out.
local at = ',"at_ms":' .. text(now_ms())
publish_job_event(queue, ids[1], 'enqueued', at)
local head = heads[queue]
if head and head.moved then
  local before, after = head.before .. '{"job":"', '","status":"enqueued"' .. at .. '}' .. k.body_ends
  local log, channel, epoch, prev = head.keys.log, head.channel, head.epoch, head.last
  for i = 2, #ids do
    local body = before .. ids[i] .. after
    local stored = redis.pcall('XADD', log, '*', 'prev', prev, 'epoch', epoch, 'data', body)
    if type(stored) ~= 'string' then break end
    if not head.unheard then
      redis.pcall('PUBLISH', channel, '{"id":"' .. stored .. '@' .. epoch .. '","prev":"' .. prev .. '",' .. string.sub(body, 2))
    end
    prev = stored
  end
  head.last = prev
end
close_topics()
if #ids > 1 or not is_awaited(queue) then
  wake(queue, #ids)
end
