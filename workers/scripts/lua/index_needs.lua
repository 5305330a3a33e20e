-- include: workers.scripts.transitions
-- Puts a job that waits for its time, or for other jobs, into the indexes of what it needs: whoever asks for those finds it there.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 job
-- returns 1, or 0 if it waits for something else by now, or for nothing
local w = of_waiting()
local fields = w.read(arg(1))
if fields.held or fields.status ~= 'deferred' and fields.status ~= 'scheduled' then return 0 end
w.join_needs(arg(1), fields, now_ms())
return 1
