-- wrk script: alerts of 600 bytes; one in five repeats one of the nine keys before it.
local n, id = 0, 0
function setup(thread) thread:set("id", id); id = id + 1 end
function init(args)
  path, salt = args[1], args[2]
  math.randomseed(id * 7919 + 13)
  padding = string.rep("x", 300)
end
function request()
  n = n + 1
  local key = n
  if n > 10 and n % 5 == 0 then key = n - math.random(1, 9) end
  local body = string.format(
    '{"title":"Disk of host-%d is nearly full","status":"firing","severity":"critical","key":"%s-%d-%d","description":"%s",' ..
    '"labels":{"host":"host-%d","team":"storage","env":"prod","service":"blob-store"}}', key, salt, id, key, padding, key)
  if #body < 600 then body = body .. string.rep(" ", 600 - #body) end
  return wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
end
function response(status, _, body)
  if status ~= 202 then io.stderr:write(status, " ", body, "\n"); wrk.thread:stop() end
end
