-- include: notify.history.count
-- Counts at the end of a script, each field once.
--
-- note(field, n): counts n more; arguments as for count_up()
-- write_notes(): writes the counts. Call it last in the script
local notes, is_noted = {}, false

local function note(field, n)
  notes[field], is_noted = (notes[field] or 0) + n, true
end

local function write_notes()
  if not is_noted then return end
  for field, n in pairs(notes) do
    count_up(field, n)
  end
  notes, is_noted = {}, false
end
