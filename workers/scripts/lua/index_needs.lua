-- include: workers.scripts.transitions
-- Adds a job that waits for its time, or for other jobs, to the indexes of its needs, so that a loss finds it; and publishes that.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id  of the job
-- returns 1, or 0 if by now the job is held, or no longer waits for its time or for other jobs
local id = unpack(ARGV, OWN)
local jobs = transitions()
local fields = jobs.read(id)
if fields.held or fields.status ~= 'deferred' and fields.status ~= 'scheduled' then return 0 end
local now = now_ms()
jobs.join_needs(id, fields, now)
local origin = fields.origin or ''
local due_s = fields.status == 'scheduled' and redis.pcall('ZSCORE', k.scheduled .. origin, id)
local due_ms = whole(math.floor((tonumber(type(due_s) == 'string' and due_s or '') or -1) * 1000), nil)
publish_job_event(origin, id, fields.status, ',"at_ms":' .. text(now) .. (due_ms and ',"due_ms":' .. text(due_ms) or ''))
flush_changes(now)
return 1
