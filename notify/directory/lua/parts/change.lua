-- Fills in the body of an event that announces a change of the directory.
--
-- fill(body, values) -> the body with each value, as JSON, in the first place of "@name@"; in a body, users' texts come after it
-- list_or_none(json) -> the JSON if it looks like a list, else an empty list: a field that was spoilt by hand must not spoil the event
-- quoted(name) -> the name as JSON
-- announcement(body, name, incarnation, provides, groups, became) -> the body, filled with these values of a service
--   became  "<name>#<incarnation>" of a standby that got the name that it waited for, else nil
local function fill(body, values)
  return (string.gsub(body, '"@(%l+)@"', function(name)
    local value = values[name]
    values[name] = nil
    return value
  end))
end

local function list_or_none(json)
  return json and string.match(json, '^%[.*%]$') or '[]'
end

local function quoted(name)
  return '"' .. string.gsub(name, '[\\"]', '\\%0') .. '"' -- a name holds no other character that JSON would escape
end

local function announcement(body, name, incarnation, provides, groups, became)
  return fill(body, {
    service = quoted(name), incarnation = incarnation, provides = list_or_none(provides), groups = list_or_none(groups),
    became = became and quoted(became),
  })
end
