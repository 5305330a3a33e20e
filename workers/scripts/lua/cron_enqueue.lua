-- include: workers.scripts.transitions
-- Enqueues a job of a schedule once for each of its times, however many leaders call this. Then the job is due at its next time. It is
-- not enqueued while it is paused, while no worker listens to its queue, nor, unless it may overlap, while the one before it still waits.
-- KEYS    cron_due   ns:cron_due
--         cron_last  ns:cron_last
--         alarms     ns:cron_alarms
--         queues     rq:queues
--         list       rq:queue:<name>
--         workers    rq:workers:<name>
--         leases     ns:leases
--         job        rq:job:<id>
--         paused     ns:cron_paused
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         name
--         due_ms   when it was due
--         next_ms  when it is due next, "" for never
--         id       of the job: its end is due_ms
--         queue
--         overlap  "skip", "queue" or "replace"
--         needs    as JSON, or ""
--         ...      fields and values of the job
-- returns {"enqueued", "skipped", "paused", "unserved" or "" if it was dealt with before; "again" if it is due a ms later, because the job of that
--          time ran before the clock was put back; 1 if an alarm begins or ends, else 0}
local cron_due, cron_last, alarms, queues, list, workers, leases, job, paused = unpack(KEYS)
local name, due_ms, next_ms, id, queue, overlap, needs = unpack(ARGV, OWN, OWN + 6)
local FIRST_FIELD = OWN + 7
local jobs = transitions()
local now = now_ms()
if tonumber(redis.call('ZSCORE', cron_due, name) or '-1') ~= tonumber(due_ms) then return {'', 0} end

-- The set keeps workers that died until they are reaped; their hashes expire. So do those of the living when the clock jumps ahead.
local function is_served()
  for _, worker in ipairs(redis.pcall('SMEMBERS', workers)) do
    if redis.call('EXISTS', worker) == 1 or redis.call('ZSCORE', leases, string.sub(worker, #k.worker + 1)) then return true end
  end
  return false
end

local function move_on()
  if next_ms == '' then
    redis.call('ZREM', cron_due, name)
  else
    redis.call('ZADD', cron_due, next_ms, name)
  end
end

if redis.call('SISMEMBER', paused, name) == 1 then
  redis.call('PEXPIRE', paused, WEEK_MS)
  local ends = redis.call('HDEL', alarms, name)
  move_on()
  return {'paused', ends}
end
local is_new = redis.call('EXISTS', job) == 0
if not is_new and tonumber(due_ms) <= whole(redis.call('HGET', cron_last, name), 0) then
  redis.call('ZADD', cron_due, text(due_ms + 1), name)
  return {'again', 0}
end
if is_new and not is_served() then
  local begins = redis.call('HSETNX', alarms, name, text(now))
  redis.call('PEXPIRE', alarms, WEEK_MS)
  move_on()
  return {'unserved', begins}
end
local before_id = string.sub(id, 1, #id - #due_ms) .. (redis.call('HGET', cron_last, name) or '')
local before = overlap ~= 'queue' and jobs.read(before_id)
local waits = before and jobs.is_waiting(before)
if is_new and waits and overlap == 'skip' then
  local ends = redis.call('HDEL', alarms, name)
  move_on()
  return {'skipped', ends}
end
if is_new then
  redis.call('RPUSH', list, id) -- first: it fails if the key is no list
end
move_on()
if not is_new then return {'', 0} end
if waits and before_id ~= id then
  jobs.cancel(before_id, before, jobs.cancellation_of('replaced by job ' .. id, now, '{"rule":"overlap"}'), now)
  redis.call('LREM', k.queue .. (before.origin or ''), 1, before_id)
end
local fields = {turn = text(now * 1000), needs = needs ~= '' and needs or nil}
redis.call('HSET', job, 'turn', fields.turn, unpack(ARGV, FIRST_FIELD))
if fields.needs then
  fields.needs = up_to_date(needs_of(fields)) -- the claim deals with a need that is not there
  redis.call('HSET', job, 'needs', fields.needs)
  jobs.join_needs(id, fields, now)
end
redis.call('SADD', queues, list)
redis.call('HSET', cron_last, name, due_ms)
redis.call('PEXPIRE', cron_last, WEEK_MS)
note_job('enqueued', queue, function_of(redis.call('HGET', job, 'data')))
publish_job_event(queue, id, 'enqueued', ',"at_ms":' .. text(now))
flush_changes(now)
return {'enqueued', redis.call('HDEL', alarms, name)}
