-- include: workers.scripts.transitions
-- Adds a job that waits for its time, or for other jobs, to the indexes of its needs, so that a loss finds it.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id  of the job
-- returns 1, or 0 if by now the job is held, or no longer waits for its time or for other jobs
local id = unpack(ARGV, OWN)
local jobs = transitions()
local fields = jobs.read(id)
if fields.held or fields.status ~= 'deferred' and fields.status ~= 'scheduled' then return 0 end
jobs.join_needs(id, fields, now_ms())
return 1
