-- include: workers.scripts.transitions
-- Cancels jobs that depend on a job which ended without success, if they were enqueued so; and in turn those that depend on them.
-- KEYS    dependents  ns:dependents
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         parent  look at the dependents of this job, or ""
--         new     look at this job, which was just enqueued: a dependency that is gone counts as met, as for RQ; or ""
--         first   without parent and new: how many of all to skip
--         count   and how many to look at
-- returns {how many of all were looked at, how many were cancelled, how many of all keep waiting}
local parent, new, first, count = unpack(ARGV, OWN)
local dependents = KEYS[1]
local jobs = transitions()
local now = now_ms()
local MOST = 1000 -- jobs that one call looks at; the next call of a leader goes on
local work, cancelled, waiting, looked_at = {}, 0, 0, 0
local UNSAVED_MS = MINUTE_MS -- a job is in the index before its hash is written
redis.call('PEXPIRE', dependents, MONTH_MS)

local function add_dependents(id)
  for _, dependent in ipairs(redis.pcall('SMEMBERS', k.dependents .. id .. k.dependents_end)) do
    if redis.call('ZSCORE', dependents, dependent) then
      work[#work + 1] = dependent
    end
  end
end

-- How a dependency ended without success, or nil. One that finished is taken off the list: its hash may expire before this job starts.
local function failure_of(id, dependency, allows_failure)
  local status = redis.pcall('HGET', k.job .. dependency, 'status')
  if status == 'finished' or not status and id == new then
    redis.call('SREM', k.dependencies .. id .. k.dependencies_end, dependency)
    return nil
  end
  if not status then return 'no longer exists' end
  if status == 'failed' and not allows_failure then return 'failed' end
  if status == 'stopped' then return 'was stopped' end
  if status == 'canceled' then return 'was cancelled' end
  return nil
end

local function check(id)
  local fields = jobs.read(id)
  if not fields.status and now - whole(redis.call('ZSCORE', dependents, id), 0) < UNSAVED_MS then return 'waits' end
  if fields.status ~= 'deferred' or fields.held then
    redis.call('ZREM', dependents, id) -- it waits for no other job any more
    return 'left'
  end
  local allows_failure = whole(redis.call('HGET', k.job .. id, 'allow_dependency_failures'), 0) ~= 0
  for _, dependency in ipairs(redis.pcall('SMEMBERS', k.dependencies .. id .. k.dependencies_end)) do
    local failure = failure_of(id, dependency, allows_failure)
    if failure then
      local reason = 'job ' .. dependency .. ', on which it depends, ' .. failure
      jobs.cancel(id, fields, jobs.cancellation_of(reason, now, '{"rule":"dependency"}'), now)
      redis.call('ZREM', dependents, id)
      add_dependents(id)
      cancelled = cancelled + 1
      return 'left'
    end
  end
  return 'waits'
end

if parent ~= '' then
  add_dependents(parent)
elseif new ~= '' then
  work[1] = new
else
  work = redis.call('ZRANGE', dependents, first, first + count - 1)
  looked_at = #work
end
local i = 1
while work[i] and i <= MOST do
  local answer = check(work[i])
  if i <= looked_at and answer == 'waits' then waiting = waiting + 1 end
  i = i + 1
end
flush_changes(now)
return {looked_at, cancelled, waiting}
