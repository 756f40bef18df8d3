-- wrk script: the same alerts as post.lua, as Alertmanager takes them; one in five repeats one of the nine before it.
local n = 0
function init(args)
  salt = args[1]
  math.randomseed(13)
  padding = string.rep("x", 200)
end
function request()
  n = n + 1
  local key = n
  if n > 10 and n % 5 == 0 then key = n - math.random(1, 9) end
  local body = string.format(
    '[{"labels":{"alertname":"Disk of host-%d is nearly full","severity":"critical","key":"%s-%d","host":"host-%d",' ..
    '"team":"storage","env":"prod","service":"blob-store"},"annotations":{"description":"%s"}}]', key, salt, key, key, padding)
  if #body < 600 then body = body .. string.rep(" ", 600 - #body) end
  return wrk.format("POST", "/api/v2/alerts", {["Content-Type"] = "application/json"}, body)
end
