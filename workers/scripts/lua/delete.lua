-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.job_event
-- Deletes jobs that have ended, with their results.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         ...  ids
-- returns {how many were deleted, how many stay because jobs wait for them, how many stay because they have not ended or are gone}
local FIRST_ID = OWN
local REGISTRY = {finished = k.finished, failed = k.failed, stopped = k.failed, canceled = k.canceled}
local now, deleted, awaited, not_ended = now_ms(), 0, 0, 0

-- Whether a worker has not yet recorded the end of the run that was stopped.
local function is_ending(id, fence, origin)
  return fence and redis.pcall('ZSCORE', k.started .. origin, id .. ':' .. fence)
end

local function is_awaited(id)
  local dependents = redis.pcall('SMEMBERS', k.dependents .. id .. k.dependents_end)
  for _, dependent in ipairs(dependents) do
    local status = redis.pcall('HGET', k.job .. dependent, 'status')
    if status == 'deferred' or status == 'ready_to_enqueue' then return true end
  end
  return false
end

local function delete(id, status, origin)
  redis.call('ZREM', REGISTRY[status] .. origin, id)
  redis.call('DEL', k.job .. id, k.results .. id, k.executions .. id, k.dependents .. id .. k.dependents_end,
    k.dependencies .. id .. k.dependencies_end)
  publish_job_event(origin, id, 'deleted', ',"at_ms":' .. text(now))
end

for i = FIRST_ID, #ARGV do
  local id = ARGV[i]
  local known = redis.pcall('HMGET', k.job .. id, 'status', 'origin', 'stopped') -- a key that is no hash has no fields
  local status, origin = known[1], known[2] or ''
  if not REGISTRY[status] or is_ending(id, known[3], origin) then
    not_ended = not_ended + 1
  elseif is_awaited(id) then
    awaited = awaited + 1
  else
    delete(id, status, origin)
    deleted = deleted + 1
  end
end
close_topics()
return {deleted, awaited, not_ended}
