-- include: workers.scripts.transitions
-- Enqueues a job of a schedule once for each of its times, however many leaders call this. Then the job is due at its next time.
-- KEYS    cron_due   ns:cron_due
--         cron_last  ns:cron_last
--         queues     rq:queues
--         list       rq:queue:<name>
--         job        rq:job:<id>
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         name
--         due_ms   when it was due
--         next_ms  when it is due next, "" for never
--         id       of the job
--         queue
--         needs    as JSON, or ""
--         ...      fields and values of the job
-- returns 1 if the job was enqueued, or 0 if it was enqueued before
local cron_due, cron_last, queues, list, job = unpack(KEYS)
local name, due_ms, next_ms, id, queue, needs = unpack(ARGV, OWN, OWN + 5)
local FIRST_FIELD = OWN + 6
local jobs = transitions()
if tonumber(redis.call('ZSCORE', cron_due, name) or '-1') ~= tonumber(due_ms) then return 0 end
local is_new = redis.call('EXISTS', job) == 0
if is_new then
  redis.call('RPUSH', list, id) -- first: it fails if the key is no list
end
if next_ms == '' then
  redis.call('ZREM', cron_due, name)
else
  redis.call('ZADD', cron_due, next_ms, name)
end
if not is_new then return 0 end
local now = now_ms()
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
publish_job_event(queue, id, 'enqueued', ',"at_ms":' .. text(now))
flush_changes(now)
return 1
